"""Test Doorlight with hostile input.

run            the command line: many cases in parallel
run_case       one case in a forked process
case_process   what that process does
judge          whether a case ended well
inputs/        what the cases are made of, a module for each kind
"""
