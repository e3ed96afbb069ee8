"""Runs the unit tests below a folder and writes reports/FOLDER.xml in JUnit's form."""

import sys
import time
import unittest
from pathlib import Path
from xml.etree import ElementTree


class Recorder(unittest.TextTestResult):
    """Keeps how long each test took and how it ended."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.suite = ElementTree.Element("testsuite")
        self._begun = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._begun = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        seconds = f"{time.monotonic() - self._begun:.3f}"
        group, _, name = test.id().rpartition(".")
        case = ElementTree.SubElement(self.suite, "testcase", classname=group, name=name, time=seconds)
        for failed, trace in self.failures + self.errors:
            if failed is test:
                ElementTree.SubElement(case, "failure").text = trace


def main(folder):
    tests = unittest.defaultTestLoader.discover(folder, top_level_dir=".")
    result = unittest.TextTestRunner(resultclass=Recorder, verbosity=2, stream=sys.stdout).run(tests)
    result.suite.set("name", folder)
    result.suite.set("tests", str(result.testsRun))
    report = Path("reports", f"{folder}.xml")
    report.parent.mkdir(exist_ok=True)
    ElementTree.ElementTree(result.suite).write(report, encoding="utf-8", xml_declaration=True)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
