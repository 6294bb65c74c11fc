"""Adapt Gradio's Soft theme to the contrast that WCAG 2.2 requires at level AA."""

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue="emerald",
    neutral_hue="stone",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    body_background_fill="*neutral_100",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    checkbox_label_background_fill_selected="*primary_700",
    color_accent="*primary_700",
    block_label_text_color="*primary_800",
    block_title_text_color="*primary_800",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
)


def theme_css() -> str:
    """Return the theme's CSS as Gradio's server sends it. Gradio has no public function for this."""
    return THEME._get_theme_css()
