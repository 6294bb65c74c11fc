"""Limit what a browser lets a page of Gradio's do: the content security policy of the app and of the review page."""

import secrets
from contextvars import ContextVar

# Gradio's page has scripts and styles in itself, and gr.HTML makes functions of its template and of `js_on_load`.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
NONCE = ContextVar("nonce", default="")  # which the scripts in the page have that is sent now, and no other script


def policy_for_this_page() -> str:
    """Return the policy with a new `NONCE`: no script that somebody else has put into the page runs."""
    NONCE.set(secrets.token_urlsafe(16))
    return POLICY.replace("script-src 'self' 'unsafe-inline'", f"script-src 'self' 'nonce-{NONCE.get()}'")
