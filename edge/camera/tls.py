"""TLS for cameras, which have certificates of their own making.

Import it late: the module `ssl` takes a while to import, and few cameras need it.
"""

from __future__ import annotations

import ssl


def unverified_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate."""
    # ssl.create_default_context would load the certificates of all authorities: 30 ms for nothing.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
