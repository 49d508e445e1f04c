import json

import pytest

from stream_gateway.joined_modules import join_modules
from tests.unit.clients.web.node import needs_node, run_node

MODULES = {
    "page/main.js": (
        'import { Clock, hour } from "./clock.js";\n'
        'import {\n  name,\n  other,\n} from "../sdk/all.js";\n'
        'import { where } from "./place.js";\n'
        "const minute = 7;\n"
        "async function told() { return [hour(), minute, new Clock().minute, await name(), [...other()], where]; }\n"
        "told().then((all) => console.log(JSON.stringify(all)));\n"
    ),
    "page/clock.js": (
        "// It strikes.\nconst minute = 30;\n"
        "/**\n * Of the tower.\n */\nexport class Clock { minute = minute; }\n"
        "export function hour() { return 12; }\n"
        'export const text = "import nothing";\n'
    ),
    "page/place.js": 'export const where = new URL("./beside.js", import.meta.url).pathname;\n',
    "sdk/all.js": 'export { name, other } from "./name.js";\n',
    "sdk/name.js": (
        'import { hour } from "../page/clock.js";\n'
        "export async function name() { return `n${hour()}`; }\nexport function* other() { yield 1; }\n"
    ),
    "page/unused.js": "export default 1;\n",
}


@needs_node
def test_joined_modules_do_what_they_did_and_keep_their_names_apart() -> None:
    joined = join_modules(MODULES, "page/main.js")
    values = json.loads(run_node("--input-type=module", "--eval", joined))
    assert values[:5] == [12, 7, 30, "n12", [1]]
    assert values[5].endswith("/page/beside.js")
    assert joined.count("class Clock") == 1
    assert "strikes" not in joined and "tower" not in joined
    assert "default" not in joined


@pytest.mark.parametrize(
    "form",
    [
        'import all from "./clock.js";',
        'import { a as b } from "./clock.js";',
        'import * as all from "./clock.js";',
        'import "./clock.js";',
        'import { a } from "elsewhere";',
        "export default 1;",
        "export let minute = 1;",
        "export { minute };",
        'export * from "./clock.js";',
    ],
)
def test_a_form_that_is_not_known_is_refused_and_not_sent_to_browsers(form: str) -> None:
    with pytest.raises(ValueError, match=r"^page/odd\.js: (import|export)"):
        join_modules({**MODULES, "page/odd.js": f"const a = 1;\n{form}\n"}, "page/odd.js")


def test_a_module_that_is_not_there_and_a_circle_are_named() -> None:
    with pytest.raises(ValueError, match=r"^page/b\.js: there is no such module"):
        join_modules({"page/a.js": 'import { b } from "./b.js";\n'}, "page/a.js")
    circle = {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}
    with pytest.raises(ValueError, match=r"^a\.js: imports itself"):
        join_modules(circle, "a.js")
