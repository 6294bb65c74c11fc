"""Set the content security policy of the app and the review page. Both use Gradio's HTML."""

import secrets
from contextvars import ContextVar

# 'unsafe-inline' allows the inline scripts and styles in Gradio's HTML. 'unsafe-eval' allows gr.HTML to make functions
# of its template and `js_on_load`.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
NONCE = ContextVar("nonce", default="")  # the nonce of the inline scripts in the HTML that is being sent


def policy_for_this_page() -> str:
    """Return the policy with a new `NONCE`, so that inline scripts without it don't run."""
    NONCE.set(secrets.token_urlsafe(16))
    return POLICY.replace("script-src 'self' 'unsafe-inline'", f"script-src 'self' 'nonce-{NONCE.get()}'")
