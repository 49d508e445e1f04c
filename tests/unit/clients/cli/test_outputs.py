import io
from pathlib import Path

from clients.cli.outputs import DirectoryOutput, NoOutput, StreamOutput, output_paths


def test_the_first_document_is_written_as_it_grows_and_the_others_wait_for_their_turn() -> None:
    stream = io.StringIO()
    output = StreamOutput(stream)
    seen = []
    for part, text in ((0, "a1 "), (1, "b1 "), (2, "c1 "), (0, "a2 ")):
        output.write(part, text)
        seen.append(stream.getvalue())
    assert seen == ["a1 ", "a1 ", "a1 ", "a1 a2 "]
    output.finish(2)
    assert stream.getvalue() == "a1 a2 "
    output.finish(0)
    assert stream.getvalue() == "a1 a2 b1 "
    output.write(1, "b2 ")
    output.finish(1)
    output.finish(1)
    assert stream.getvalue() == "a1 a2 b1 b2 c1 "


def test_closing_writes_what_waits_although_an_earlier_document_is_unfinished() -> None:
    stream = io.StringIO()
    output = StreamOutput(stream)
    output.write(2, "c")
    output.write(1, "b")
    output.close()
    output.close()
    assert stream.getvalue() == "bc"
    assert not stream.closed


def test_a_stream_of_its_own_is_closed(tmp_path: Path) -> None:
    stream = (tmp_path / "out.txt").open("w", encoding="utf-8")
    output = StreamOutput(stream, owns_stream=True)
    output.write(0, "text")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "text"
    output.close()
    assert stream.closed


def test_each_document_has_its_file_and_every_piece_is_on_disk_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    output = DirectoryOutput(paths)
    output.write(1, "first ")
    output.write(1, "second")
    assert paths[1].read_text(encoding="utf-8") == "first second"
    output.write(0, "x")
    output.finish(1)
    output.finish(2)
    output.close()
    assert paths[0].read_text(encoding="utf-8") == "x"
    assert not paths[2].exists()


def test_no_output_takes_everything() -> None:
    output = NoOutput()
    output.write(0, "x")
    output.finish(0)
    output.close()


def test_files_are_named_after_their_inputs_and_never_alike() -> None:
    names = ["in/talk.wav", "in/call.mp3", "other/call.wav", "more/call.wav", "stdin"]
    assert output_paths(Path("out"), names, ".srt") == [
        Path("out/talk.srt"),
        Path("out/call.mp3.srt"),
        Path("out/call.wav.srt"),
        Path("out/call.wav-2.srt"),
        Path("out/stdin.srt"),
    ]
