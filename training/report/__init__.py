"""What a run came to, for people (report.html) and for programs (report.json).

report = write_report(Material(name, bundle, evaluations, train=…, test=…), folder)
report.test.lm.wer.value, report.suspects, report.record_next
"""

from training.report.learning import learning_curve
from training.report.schema import LearningPoint, Report
from training.report.writing import Material, check_packages, summary, write_report

__all__ = ["LearningPoint", "Material", "Report", "check_packages", "learning_curve", "summary", "write_report"]
