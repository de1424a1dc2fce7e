"""The base models JAVIS knows: what they are, who may use them, and how much memory they take.

Parameter counts of Qwen are computed from their published shapes and agree with their checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from javis.core.types import SamplingParams
from javis.engine.fetch import EMBEDDED

_NF4_BYTES = 0.5 + 1.03 / 64
"""Per weight: 4 bits, and for each 64 of them one scale that is itself quantized (QLoRA)."""
ALLOWANCE = {"cpu": 600 << 20, "cuda": 1 << 30, "gguf": 300 << 20}
"""What a runtime takes besides weights and conversation: Python with torch (measured 0.5 GB), a
CUDA context and its workspace (a reserve, not measured), llama.cpp's buffers."""
DEFAULT_CONTEXT = 8192
_NO_COMMERCE = "Qwen Research"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model. What is not known for certain is None."""

    id: str
    title: str
    hub_id: str
    licence: str
    parameters: int | None = None
    languages: tuple[str, ...] = ("en", "ko")
    context: int | None = None
    layers: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    embedding: int = 0
    """Parameters of the embedding and the output layer, which bitsandbytes leaves at 16 bits."""
    gguf: Mapping[str, tuple[str, str, float]] | None = None
    """Official GGUF files: precision -> (repository, file pattern, bits per weight)."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """What suits the model: the publisher's advice, and for the embedded one a penalty that keeps
    so small a model from saying the same line five times."""

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token with 16 bits; 0 when the shape is not known."""
        return 2 * 2 * (self.layers or 0) * (self.kv_heads or 0) * (self.head_size or 0)

    def weight_bytes(self, bits: int) -> int:
        """Size of the weights in transformers at 4, 8, 16 or 32 bits per weight; 0: unknown."""
        if self.parameters is None:
            return 0
        if bits >= 16:
            return self.parameters * bits // 8
        per_weight = _NF4_BYTES if bits == 4 else 1.0
        return int((self.parameters - self.embedding) * per_weight) + self.embedding * 2

    def need_bytes(self, bits: int, context: int, where: str = "cuda") -> int:
        """Memory to answer one conversation of `context` tokens; `where` is cpu or cuda."""
        # On a processor the 32-bit engine keeps 32-bit keys and values.
        kv = self.kv_bytes_per_token * (2 if bits == 32 else 1)
        return self.weight_bytes(bits) + kv * context + ALLOWANCE[where]


def _qwen(
    name: str,
    parameters: int,
    shape: tuple[int, int, int],
    embedding: int,
    gguf: Mapping[str, tuple[str, str, float]],
    licence: str = "Apache-2.0",
) -> BaseModel:
    layers, kv_heads, head_size = shape
    return BaseModel(
        id=name,
        title=name.replace("-Instruct", "").replace("-", " "),
        hub_id=f"Qwen/{name}",
        licence=licence,
        parameters=parameters,
        context=32_768,
        layers=layers,
        kv_heads=kv_heads,
        head_size=head_size,
        embedding=embedding,
        gguf=gguf,
        sampling=SamplingParams(temperature=0.7, top_p=0.8),
    )


def _qwen25_gguf(name: str) -> dict[str, tuple[str, str, float]]:
    # A star, as the larger ones are split into several files.
    repo, stem = f"Qwen/{name}-GGUF", name.lower()
    return {"4bit": (repo, f"{stem}-q4_k_m*.gguf", 5.0), "8bit": (repo, f"{stem}-q8_0*.gguf", 8.5)}


def _qwen3_gguf(name: str, *, four_bits: bool) -> dict[str, tuple[str, str, float]]:
    repo = f"Qwen/{name}-GGUF"
    found = {"8bit": (repo, f"{name}-Q8_0.gguf", 8.5)}
    return found | ({"4bit": (repo, f"{name}-Q4_K_M.gguf", 5.0)} if four_bits else {})


MODELS: tuple[BaseModel, ...] = (
    BaseModel(
        id=EMBEDDED,
        title="SmolLM2 135M",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        parameters=134_515_008,
        languages=("en",),
        context=8192,
        layers=30,
        kv_heads=3,
        head_size=64,
        embedding=49_152 * 576,
        sampling=SamplingParams(temperature=0.2, top_p=0.9, repetition_penalty=1.05),
    ),
    _qwen(
        "Qwen2.5-0.5B-Instruct",
        494_032_768,
        (24, 2, 64),
        151_936 * 896,
        _qwen25_gguf("Qwen2.5-0.5B-Instruct"),
    ),
    _qwen(
        "Qwen3-0.6B",
        596_049_920,
        (28, 8, 128),
        151_936 * 1024,
        _qwen3_gguf("Qwen3-0.6B", four_bits=False),
    ),
    _qwen(
        "Qwen2.5-1.5B-Instruct",
        1_543_714_304,
        (28, 2, 128),
        151_936 * 1536,
        _qwen25_gguf("Qwen2.5-1.5B-Instruct"),
    ),
    _qwen(
        "Qwen3-1.7B",
        1_720_574_976,
        (28, 8, 128),
        151_936 * 2048,
        _qwen3_gguf("Qwen3-1.7B", four_bits=False),
    ),
    BaseModel(
        id="Midm-2.0-Mini-Instruct",
        title="Mi:dm 2.0 Mini",
        hub_id="K-intelligence/Midm-2.0-Mini-Instruct",
        licence="MIT",
        parameters=2_300_000_000,
    ),
    _qwen(
        "Qwen2.5-3B-Instruct",
        3_085_938_688,
        (36, 2, 128),
        151_936 * 2048,
        _qwen25_gguf("Qwen2.5-3B-Instruct"),
        licence=_NO_COMMERCE,
    ),
    _qwen(
        "Qwen3-4B",
        4_022_468_096,
        (36, 8, 128),
        151_936 * 2560,
        _qwen3_gguf("Qwen3-4B", four_bits=True),
    ),
    BaseModel(
        id="A.X-4.0-Light",
        title="A.X 4.0 Light",
        hub_id="skt/A.X-4.0-Light",
        licence="Apache-2.0",
        parameters=7_000_000_000,
        context=16_384,
    ),
    _qwen(
        "Qwen2.5-7B-Instruct",
        7_615_616_512,
        (28, 4, 128),
        152_064 * 3584 * 2,
        _qwen25_gguf("Qwen2.5-7B-Instruct"),
    ),
    _qwen(
        "Qwen3-8B",
        8_190_735_360,
        (36, 8, 128),
        151_936 * 4096 * 2,
        _qwen3_gguf("Qwen3-8B", four_bits=True),
    ),
    BaseModel(
        id="KORMo-10B-sft",
        title="KORMo 10B",
        hub_id="KORMo-Team/KORMo-10B-sft",
        licence="Apache-2.0",
        parameters=10_800_000_000,
    ),
    BaseModel(
        id="Midm-2.0-Base-Instruct",
        title="Mi:dm 2.0 Base",
        hub_id="K-intelligence/Midm-2.0-Base-Instruct",
        licence="MIT",
        parameters=12_000_000_000,
    ),
)
"""By size. Parameter counts of the Korean models are the rounded ones of their pages."""

AUTO = ("KORMo-10B-sft", "Qwen3-8B", "Qwen3-4B", "Midm-2.0-Mini-Instruct", "Qwen3-1.7B")
"""What `auto` tries on a CUDA card, best first: permissive licences, Korean and English."""


def find(name: str) -> BaseModel | None:
    """The model of this id or hub id, whatever its capitals."""
    wanted = name.lower()
    return next((m for m in MODELS if wanted in (m.id.lower(), m.hub_id.lower())), None)


def same_model(one: str, other: str) -> bool:
    """Whether two names (id, hub id, path) mean the same base model."""
    first, second = find(one), find(other)
    if first or second:
        return first == second
    return one.lower() == other.lower()


def made_for(base_model: str, model: str) -> bool:
    """Whether an adapter belongs to `model`. A bare one, which ADAPTER_PATH may name, does not say
    which base it was made for."""
    return not base_model or same_model(base_model, model)


def table() -> str:
    """The catalogue as a Markdown table; sizes in GB with a conversation of 8,192 tokens."""
    lines = [
        "| model | parameters | languages | licence | context | 4-bit | 8-bit | 16-bit | GGUF |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        context = min(model.context or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
        sizes = [f"{model.need_bytes(bits, context) / 1e9:.1f}" for bits in (4, 8, 16)]
        known = "" if model.layers else "+"
        size = (model.parameters or 0) / 1e9
        cells = [
            f"`{model.id}`",
            f"{size:.2f} B" if size < 1 else f"{size:.1f} B",
            ", ".join(model.languages),
            model.licence,
            f"{model.context:,}" if model.context else "?",
            *(f"{s} GB{known}" for s in sizes),
            "built in" if model.id == EMBEDDED else ("yes" if model.gguf else "no"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
