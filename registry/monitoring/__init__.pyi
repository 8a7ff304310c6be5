from .checks import check as check
from .columns import PrivacyRules as PrivacyRules
from .ground_truth import log_ground_truth as log_ground_truth
from .monitored_model import MonitoredModel as MonitoredModel
from .observations import delete_observations as delete_observations, log_inference as log_inference
from .performance import Performance as Performance
from .profiles import ColumnProfile as ColumnProfile, Profile as Profile, make_profile as make_profile
from .references import get_reference as get_reference, set_reference as set_reference
from .report import ColumnResult as ColumnResult, DriftReport as DriftReport
