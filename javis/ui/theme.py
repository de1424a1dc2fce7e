"""Colours, radii and fonts of Gradio's own parts, in step with `style.css`."""

from __future__ import annotations

import gradio as gr

FONTS = (
    "Pretendard Variable",
    "Pretendard",
    "Apple SD Gothic Neo",
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "Malgun Gothic",
    "system-ui",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "D2Coding", "monospace")


def theme() -> gr.themes.Base:
    """Plain names only: Gradio would fetch a `GoogleFont` from elsewhere."""
    base = gr.themes.Base(
        font=[gr.themes.Font(name) for name in FONTS],
        font_mono=[gr.themes.Font(name) for name in MONO],
        radius_size="lg",
        text_size="md",
    )
    # Gradio's parts read the page's own variables, so that one place decides light and dark.
    shared = {
        "body_background_fill": "var(--jv-page)",
        "body_text_color": "var(--jv-text)",
        "body_text_color_subdued": "var(--jv-muted)",
        "background_fill_primary": "var(--jv-surface)",
        "background_fill_secondary": "var(--jv-page)",
        "block_background_fill": "transparent",
        "block_border_color": "transparent",
        "block_border_width": "0px",
        "block_label_text_color": "var(--jv-muted)",
        "block_title_text_color": "var(--jv-text)",
        "block_info_text_color": "var(--jv-muted)",
        "border_color_primary": "var(--jv-line)",
        "border_color_accent": "var(--jv-accent)",
        "color_accent_soft": "var(--jv-soft)",
        "input_background_fill": "var(--jv-field)",
        "input_border_color": "var(--jv-line)",
        "input_border_color_focus": "var(--jv-accent)",
        "input_placeholder_color": "var(--jv-muted)",
        "checkbox_background_color": "var(--jv-field)",
        "checkbox_border_color": "var(--jv-off)",
        "checkbox_background_color_selected": "var(--jv-accent)",
        "checkbox_border_color_selected": "var(--jv-accent)",
        "slider_color": "var(--jv-accent)",
        "button_primary_background_fill": "var(--jv-accent)",
        "button_primary_background_fill_hover": "var(--jv-accent-strong)",
        "button_primary_text_color": "var(--jv-on-accent)",
        "button_secondary_background_fill": "var(--jv-soft)",
        "button_secondary_background_fill_hover": "var(--jv-line)",
        "button_secondary_text_color": "var(--jv-text)",
    }
    dark = {f"{name}_dark": value for name, value in shared.items() if name != "slider_color"}
    return base.set(**shared, **dark, slider_color_dark="var(--jv-accent)")
