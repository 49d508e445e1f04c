from tests.unit.asr_workers.requests import request
from tests.unit.asr_workers.test_worker import rig


async def test_a_worker_knows_what_share_of_its_slots_finals_use() -> None:
    async with rig().running() as it:
        assert it.worker.final_load == 0
        await it.give(request("partial", hotwords="scripted:sleep=0.02")).wait()
        assert it.worker.final_load == 0, "partials give way"
        await it.give(request(hotwords="scripted:sleep=0.02")).wait()
        assert 0 < it.worker.final_load < 0.1
