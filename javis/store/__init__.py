"""What is kept: conversations, turns, feedback and preferences, on a crash-safe journal."""

from javis.store.conversations import ConversationStore
from javis.store.feedback import FeedbackStore
from javis.store.jobs import JobStore, new_job_id
from javis.store.journal import JOURNAL_NAME, JournalDB
from javis.store.opening import Store, open_store
from javis.store.preferences import PreferenceStore
from javis.store.records import new_conversation_id, new_turn_id, now_iso
from javis.store.reviews import ReviewStore

__all__ = [
    "JOURNAL_NAME",
    "ConversationStore",
    "FeedbackStore",
    "JobStore",
    "JournalDB",
    "PreferenceStore",
    "ReviewStore",
    "Store",
    "new_conversation_id",
    "new_job_id",
    "new_turn_id",
    "now_iso",
    "open_store",
]
