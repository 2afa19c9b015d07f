"""The broker's and its workers' figures as Prometheus takes them; pure.

``families`` says what there is, ``events`` what the counts of each process mean. ``collect`` makes it of the director's
knowledge and the workers' last reports, anew for each scrape: nothing is registered anywhere, and what is gone is gone.

Labels are bounded: cameras by ``limits.cameras``, nodes by the workers that live, all others by tables of ours. What a
single viewer does stands in ``/api/viewers``.
"""
