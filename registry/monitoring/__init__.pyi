from .checks import check as check
from .column_profiles import ColumnProfile as ColumnProfile
from .columns import PrivacyRules as PrivacyRules
from .compaction import Compaction as Compaction, compact_observations as compact_observations
from .correlations import Correlation as Correlation
from .ground_truth import log_ground_truth as log_ground_truth
from .monitored_model import MonitoredModel as MonitoredModel
from .monitors import MonitorState as MonitorState, metrics_text as metrics_text, monitor_states as monitor_states
from .observations import delete_observations as delete_observations, log_inference as log_inference
from .performance import Performance as Performance
from .profiles import Profile as Profile, make_profile as make_profile
from .references import get_reference as get_reference, set_reference as set_reference
from .report import ColumnResult as ColumnResult, DriftReport as DriftReport
from .retraining import (
    Retrained as Retrained,
    RetrainingResult as RetrainingResult,
    RetrainingTask as RetrainingTask,
    retrain as retrain,
)
from .runner import RunnerReport as RunnerReport, run_due as run_due
from .triggers import Retraining as Retraining, TriggerFile as TriggerFile, read_triggers as read_triggers
