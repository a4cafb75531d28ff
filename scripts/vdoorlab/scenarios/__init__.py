"""One module a scenario: a docstring (what is tried and why), QUICK (part of every test run?), run(lab, report)."""
