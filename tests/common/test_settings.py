from common.config_leaves import leaves
from common.settings import SECRETS, option_of, variable_of


def test_a_setting_is_called_after_its_section_and_key() -> None:
    assert variable_of("limits", "offer_rate") == "CAMSHAFT_LIMITS_OFFER_RATE"
    assert option_of("limits", "offer_rate") == "--limits-offer-rate"


def test_every_secret_is_a_setting() -> None:
    assert set(SECRETS) <= {(leaf.section, leaf.key) for leaf in leaves()}
