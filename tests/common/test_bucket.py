"""Buckets bound how often something happens, on average and at once."""

from common.bucket import TokenBucket, TokenBuckets


class TestTokenBucket:
    def test_a_burst_and_then_a_rate(self) -> None:
        bucket = TokenBucket(3, 2.0)
        assert [bucket.take(0.0) for _ in range(5)] == [True, True, True, False, False]
        assert [bucket.take(0.5) for _ in range(2)] == [True, False]
        assert sum(bucket.take(100.0) for _ in range(10)) == 3

    def test_what_is_refused_costs_nothing(self) -> None:
        bucket = TokenBucket(1, 1.0)
        assert [bucket.take(now / 10) for now in range(25)].count(True) == 3

    def test_time_that_goes_backwards_fills_nothing(self) -> None:
        bucket = TokenBucket(1, 1.0)
        assert [bucket.take(now) for now in (10.0, 0.0, 5.0, 10.0, 11.0)] == [True, False, False, False, True]

    def test_what_costs_more_than_there_is_leaves_a_debt(self) -> None:
        bucket = TokenBucket(10, 4.0)
        assert bucket.fill(0.0) == 10
        bucket.spend(14)
        assert [bucket.fill(now) for now in (0.0, 1.0, 2.0)] == [-4, 0, 4]


class TestTokenBuckets:
    def test_each_key_has_its_own(self) -> None:
        buckets = TokenBuckets(1, 1.0, most=10)
        assert [buckets.take(key, 0.0) for key in ("ann", "bob", "ann")] == [True, True, False]

    def test_the_key_that_was_used_longest_ago_is_forgotten(self) -> None:
        buckets = TokenBuckets(1, 0.1, most=2)
        for key in ("ann", "bob", "ann", "eve"):
            buckets.take(key, 0.0)
        assert not buckets.take("ann", 0.0)  # remembered: its one token is gone
        assert buckets.take("bob", 0.0)

    def test_the_number_of_keys_is_bounded(self) -> None:
        buckets = TokenBuckets(1, 1.0, most=10)
        for number in range(1_000):
            buckets.take(str(number), 0.0)
        assert len(buckets) == 10
