"""Renders a template and says which Python did it: .python-version asks for 3.11."""

import sys

from jinja2 import Template

TEMPLATE = Template("python {{ version }} counts: {% for n in numbers %}{{ n }} {% endfor %}")

print(TEMPLATE.render(version=".".join(map(str, sys.version_info[:2])), numbers=[1, 2, 3]))
