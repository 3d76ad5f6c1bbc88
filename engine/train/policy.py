"""What Ray Train does after a worker's failure: it starts workers again only after what can go away."""

from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2.api.exceptions import TrainingFailedError

from engine.errors import cause_of
from engine.failures import can_go_away
from engine.train.faults import Ended


class OnlyLosses(DefaultFailurePolicy):
    """Ray Train's own policy, which starts workers again whatever they raised, for losses alone."""

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        """Give up at once where a worker has `Ended` the training, or where none was lost."""
        failures = [*getattr(training_failed_error, "worker_failures", {}).values()]
        ended = any(isinstance(cause_of(each), Ended) for each in failures)
        if ended or (failures and not any(map(can_go_away, failures))):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)
