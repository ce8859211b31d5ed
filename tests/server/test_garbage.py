"""A sign-in leaves nothing that only the collector finds: it is told to look seldom (`radiusd-mfa serve`)."""

import gc

from bench.stages import Bench


def test_a_batch_of_sign_ins_leaves_no_circles(empty_database_url: str) -> None:
    bench = Bench(empty_database_url, users=48)
    bench.run(16, rounds=1)  # what is made once may have some
    gc.collect()
    gc.disable()
    try:
        bench.run(16, rounds=1)
        left = gc.collect()
    finally:
        gc.enable()
        bench.close()

    assert left == 0
