"""`doorlight doctor`: check this host, report what is wrong and the command that fixes it.

runner            run the checks in a child process; render findings for a terminal
host              the machine that is checked: files, systemd, user, options of the installed service
finding           the result of a check: severity, message, fix
picture_quality   brightness, backlight and focus of a camera picture
checks            one module per check, each with a function `check(host)`
"""
