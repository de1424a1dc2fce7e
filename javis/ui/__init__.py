"""The page."""

from javis.ui.gradio_import import write_no_stubs

write_no_stubs()
