import json

import tokenizers

from asr_workers.engines.whisper_vocabulary import with_all_merges


def vocabulary(*merges: str, words: tuple[str, ...] = ("Ġ", "t", "h", "Ġt", "Ġth")) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [],
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
                "model": {
                    "type": "BPE",
                    "vocab": {word: number for number, word in enumerate(words)},
                    "merges": list(merges),
                },
            }
        )
    )


def pieces(of: tokenizers.Tokenizer, text: str) -> list[str]:
    return list(of.encode(text).tokens)


def test_the_missing_rule_is_put_back_and_others_build_on_it() -> None:
    broken = vocabulary("Ġt h")
    assert pieces(broken, " th") == ["Ġ", "t", "h"]
    assert pieces(with_all_merges(broken), " th") == ["Ġth"]


def test_a_whole_tokenizer_is_left_alone() -> None:
    whole = vocabulary("Ġ t", "Ġt h")
    assert with_all_merges(whole) is whole


def test_a_tokenizer_without_such_a_token_is_left_alone() -> None:
    other = vocabulary(words=("Ġ", "t", "h"))
    assert with_all_merges(other) is other
