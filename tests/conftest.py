"""Property tests: the same examples in every run, and no limit of time, on which a busy machine would fail."""

from hypothesis import HealthCheck, settings

from tests.support.seed import IS_GIVEN

settings.register_profile(
    "heddle",
    # With a seed, each test tries other examples.
    derandomize=not IS_GIVEN,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# The judge of mutants has a profile of its own.
if settings.get_current_profile_name() != "mutants":
    settings.load_profile("heddle")
