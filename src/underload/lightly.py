"""Imported before nbformat, whose validator would spend a second of every start on a grammar.

It is that of addresses on the web, which no notebook holds.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
