"""What a pipeline makes of its prompts, kept on disk: encoded once, whoever asks, for however many rows."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scaling.files import replacing
from scaling.flops import hollow_network, shapes_alone
from scaling.loading.devices import free, move
from scaling.models.prompt_limits import hearing_cuts
from scaling.models.row_trees import alike, grown, growth, plain, to_cpu, to_device
from scaling.notices import notice

# of pipelines, where they have them: what turns prompts into what the networks take
METHODS = (
    "encode_prompt", "_encode_prompt", "generate_prior_tokens", "rewire_prompt", "_enhance_prompt_with_pe",
    "_encode_prior_prompt", "prior_pipe",
)  # fmt: skip
ENCODERS = ("text_encoder", "vision_language_encoder")  # how names of text encoders begin


class Encoded(NamedTuple):
    """What a method made of prompts, and the texts that it cut, with the tokens that are read of each."""

    tree: Any
    cuts: Mapping[str, int]


class EncodingMemo:
    """Takes the place of a pipeline's encoding methods, for which alone its text encoders are on the device.

    What draws at random (a language model that rewrites prompts) draws the same for each prompt.
    """

    def __init__(
        self,
        pipe: Any,
        device: torch.device,
        folder: Path,
        identity: Mapping[str, Any],
        load: Callable[[str], nn.Module],
    ) -> None:
        """Files lie in a folder of their own for each `identity`; `load` reads a text encoder that was freed."""
        with_cuts = json.dumps({**identity, "cuts": "beside"}, sort_keys=True)  # files of before do not know of them
        self.folder = folder / hashlib.sha256(with_cuts.encode()).hexdigest()[:32]
        self.device, self.encoded, self.loaded = device, 0, 0
        self._load, self._staying = load, False
        self._encoders = {name: part for name, part in pipe.components.items() if encodes(name, part)}
        self._growths: dict[str, Any] = {}
        self._asked: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {}  # the last arguments of each method
        self._others: dict[str, Encoded] = {}  # what is of types that a file should not hold, by its key
        stages = [stage for stage in (pipe, getattr(pipe, "decoder_pipe", None)) if stage is not None]
        methods = [(stage, method) for stage in stages for method in METHODS if hasattr(stage, method)]
        for stage, method in methods:
            setattr(stage, method, self._kept(method, getattr(stage, method)))
        for network in self._encoders.values():
            network.forward = self._awake(network.forward)
        self._in_call = not methods
        if self._in_call:  # they stay
            self._bring()
            self._encoders = {}

    @contextmanager
    def encoders(self) -> Iterator[None]:
        """The text encoders stay on the device from the first prompt that is encoded here, and are freed in the end."""
        self._staying = True
        try:
            if self._in_call:
                with hearing_cuts() as cuts:
                    yield
                _say(cuts)
            else:
                yield
        finally:
            self._staying = False
            self._move(torch.device("meta"))
            free(self.device)

    def _bring(self) -> None:
        for name, network in self._encoders.items():
            if any(weight.is_meta for weight in network.parameters()):
                fresh = self._load(name)  # whoever holds the network keeps it: what it is made of is replaced
                vars(network).update({key: value for key, value in vars(fresh).items() if key != "forward"})
                self.loaded += 1
        self._move(self.device)

    def _move(self, device: torch.device) -> None:
        for network in self._encoders.values():
            move(network, device)

    def gflops(self) -> float:
        """GFLOPs of what the last prompt was encoded with, counted on encoders that hold shapes instead of numbers."""
        from torch.utils.flop_counter import FlopCounterMode

        total = 0
        for encode, bound in self._asked.values():
            pipe = getattr(encode, "__self__", None)
            with shapes_alone() as fake:
                try:
                    for name, network in self._encoders.items():
                        setattr(pipe, name, hollow_network(fake, network, self.device))
                    with FlopCounterMode(display=False) as counter:
                        encode(**bound)
                finally:
                    for name, network in self._encoders.items():
                        setattr(pipe, name, network)
            total += counter.get_total_flops()
        return total / 1e9

    def _awake(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """A text encoder that a pipeline asks elsewhere, too: it is there, and stays for as long as it is not freed."""

        @functools.wraps(forward)
        def asked(*args: Any, **options: Any) -> Any:
            self._bring()
            return forward(*args, **options)

        return asked

    def _kept(self, method: str, encode: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(encode)

        def kept(*args: Any, **options: Any) -> Any:
            bound = signature.bind(*args, **options).arguments
            if any(isinstance(value, Tensor) for value in bound.values()):
                return encode(*args, **options)  # it is encoded
            alone, rows = _one_row(bound)
            self._asked[method] = encode, alone
            if rows > 1:
                how = self._growth(method, encode, alone, bound)
                if how is not None:
                    return to_device(grown(self._read(method, encode, alone), how, rows), self.device)
            return to_device(self._read(method, encode, bound), self.device)

        return kept

    def _growth(self, method: str, encode: Callable[..., Any], alone: Mapping[str, Any], bound: Any) -> Any:
        """How the encoded prompt grows with its rows, found once, ever, by encoding one twice beside itself."""
        names = sorted(name for name, value in bound.items() if value is not None)
        texts = {name: "" for name, value in alone.items() if isinstance(value, str) or _prompts(value)}
        key = _key(method, {**alone, **texts}) or hashlib.sha256(f"{method}/{names}".encode()).hexdigest()[:32]
        path = self.folder / f"{key}.json"
        if key not in self._growths:
            if not path.is_file():
                one, two = self._read(method, encode, alone), self._encode(encode, _rows(alone, 2)).tree
                how = growth(one, two)
                how = how if how is not None and alike(grown(one, how, 2), two, 0.02) else None
                with replacing(path) as part:
                    part.write_text(json.dumps(how))
            self._growths[key] = json.loads(path.read_text())
        return self._growths[key]

    def _read(self, method: str, encode: Callable[..., Any], bound: Mapping[str, Any]) -> Any:
        """What is encoded; that a prompt of it was cut is noticed whenever that was."""
        tree, cuts = self._found(method, encode, bound)
        _say({text: most for text, most in cuts.items() if text not in _negative(bound)})
        return tree

    def _found(self, method: str, encode: Callable[..., Any], bound: Mapping[str, Any]) -> Encoded:
        key = _key(method, bound)
        if key is None:
            return self._encode(encode, bound)
        path = self.folder / f"{key}.pt"
        beside = self.folder / f"{key}.cuts.json"
        if key in self._others:
            return self._others[key]
        if not path.is_file():
            encoded = self._encode(encode, bound)
            if not plain(encoded.tree):
                return self._others.setdefault(key, encoded)
            if encoded.cuts:
                with replacing(beside) as part:
                    part.write_text(json.dumps(encoded.cuts))
            with replacing(path) as part:
                torch.save(encoded.tree, part)
        try:
            cuts = json.loads(beside.read_text()) if beside.is_file() else {}
            return Encoded(torch.load(path, weights_only=True), cuts)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise ValueError(f"cannot read the encoded prompt {path} ({error}); remove it to encode it again") from None

    def _encode(self, encode: Callable[..., Any], bound: Mapping[str, Any]) -> Encoded:
        self.encoded += 1
        self._bring()
        states = [(value, value.get_state()) for value in bound.values() if isinstance(value, torch.Generator)]
        cuda = [torch.cuda.current_device()] if self.device.type == "cuda" else []
        try:
            with torch.no_grad(), torch.random.fork_rng(cuda), hearing_cuts() as cuts:
                torch.manual_seed(0)
                tree = to_cpu(encode(**bound))
            return Encoded(tree, cuts)
        finally:
            for generator, state in states:  # what is read from disk draws nothing
                generator.set_state(state)
            if not self._staying:
                self._move(torch.device("cpu"))


def encodes(name: str, part: Any) -> bool:
    """Whether a pipeline's part is a text encoder."""
    return isinstance(part, nn.Module) and name.startswith(ENCODERS)


def _say(cuts: Mapping[str, int]) -> None:
    for text, most in cuts.items():
        notice(f"{{n}} prompts were cut: the model reads {most} tokens, and they have more", [text])


def _negative(bound: Mapping[str, Any]) -> set[str]:
    """What guidance leads away from, among a method's arguments."""
    found: set[str] = set()
    for name, value in bound.items():
        if name.startswith("negative"):
            found |= {value} if isinstance(value, str) else set(value) if _prompts(value) else set()
    return found


def _one_row(bound: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The arguments for one row where all rows are of the same prompts, and how many there are."""
    lists = [value for value in bound.values() if _prompts(value)]
    rows = max((len(value) for value in lists), default=1)
    if any(len(value) != rows or len(set(value)) > 1 for value in lists):
        return dict(bound), 1
    return {name: value[:1] if _prompts(value) else value for name, value in bound.items()}, rows


def _rows(alone: Mapping[str, Any], rows: int) -> dict[str, Any]:
    return {name: value * rows if _prompts(value) else value for name, value in alone.items()}


def _prompts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)


def _key(method: str, bound: Mapping[str, Any]) -> str | None:
    """The arguments as a file's name; None where one of them is data."""
    plain = {name: value for name, value in bound.items() if not isinstance(value, torch.device | torch.Generator)}
    plain |= {name: str(value) for name, value in plain.items() if isinstance(value, torch.dtype)}
    try:
        text = json.dumps([method, plain], sort_keys=True)
    except TypeError:
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:32]
