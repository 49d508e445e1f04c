"""What was seen in a run, as a file to look into."""

from pathlib import Path

import msgspec

from tests.chaos.scenario import Run


def write_evidence(run: Run, folder: Path) -> Path:
    """Write it into `folder`; gives the file. Moments are seconds since the session's first sample."""
    path = folder / f"{run.fault.replace(' ', '-')}-{run.seed}.json"
    sessions = [
        {
            "session": seen.session,
            "kind": seen.plan.kind,
            "broken": verdict.broken,
            "error": seen.error,
            "away": [(round(at - seen.began_at, 3), round(away_s, 3)) for at, away_s in seen.away],
            "ended_at": seen.ended_at - seen.began_at,
            "events": [{"at": round(at - seen.began_at, 3), "event": event} for at, event in seen.events],
            "record": verdict.stored,
        }
        for seen, verdict in zip(run.seen, run.verdicts, strict=True)
    ]
    began = min((seen.began_at for seen in run.seen if seen.began_at), default=0.0)
    about = {
        "seed": run.seed,
        "fault": run.fault,
        "done": run.done,
        "hurt_at": run.hurt_at - began,
        "healed_at": run.healed_at - began,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode({**about, "sessions": sessions}), indent=1))
    return path
