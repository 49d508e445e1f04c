"""Whisper's tokenizer, with the merge rule that converted models lack."""

import json

import tokenizers

_MISSING_MERGE = ("Ġ", "t")


def with_all_merges(vocabulary: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The tokenizer, able to write each text as the model learnt it.

    `tokenizer.json` of the multilingual models that faster-whisper uses has 49,999 merge rules: the first one, of a
    blank and a "t", is missing, as if it were a header. Without it every word that begins with "t" is spelled in tokens
    that the model has hardly seen: " the" becomes a blank and "the". Generated text is not concerned, but prompts,
    hotwords and whatever else is put before the decoder.
    """
    description = json.loads(vocabulary.to_str())
    model = description["model"]
    merges = model.get("merges", [])
    has_lists = bool(merges) and isinstance(merges[0], list)
    rule = list(_MISSING_MERGE) if has_lists else " ".join(_MISSING_MERGE)
    if "".join(_MISSING_MERGE) not in model["vocab"] or rule in merges:
        return vocabulary
    merges.insert(0, rule)
    return tokenizers.Tokenizer.from_str(json.dumps(description))
