"""All use cases, handed as one to the page, the routes and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from javis.core.settings import Settings
from javis.service.admin import AdminService
from javis.service.chat import ChatService
from javis.service.completions import CompletionService
from javis.service.feedback import FeedbackService
from javis.service.library import Library
from javis.service.preferences import Preferences
from javis.service.versions import VersionService


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    chat: ChatService
    library: Library
    feedback: FeedbackService
    completions: CompletionService
    preferences: Preferences
    versions: VersionService
    admin: AdminService
