#!/bin/sh
# Install the clients of others that tests/clients runs, each where it disturbs nobody: ./scripts/make_client_envs.sh PYTHON FOLDER
# Writes FOLDER/environment, which names them to the tests.
set -eu

python=$1
folder=$(mkdir -p "$2" && cd "$2" && pwd)
pip="--quiet --disable-pip-version-check"

command -v npm >/dev/null 2>&1 || { echo "test-clients: Node with npm is needed (Debian: apt install nodejs npm)" >&2; exit 1; }

echo "test-clients: clients from npm"
mkdir -p "$folder/node"
cp tests/clients/package.json "$folder/node/"
(cd "$folder/node" && npm install --silent --no-audit --no-fund)

echo "test-clients: whisper-live's client, without what only its server needs"
"$python" -m pip install $pip --upgrade --target "$folder/whisper_live" --no-deps \
    whisper-live==0.10.0 websocket-client==1.9.2 scipy==1.17.1

own_environment() { # NAME REQUIREMENT...
    name=$1
    shift
    echo "test-clients: $name"
    [ -e "$folder/$name" ] || "$python" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install $pip "$@"
}
own_environment livekit livekit-agents==1.8.9 livekit-plugins-openai==1.8.9 livekit-plugins-deepgram==1.8.9
own_environment pipecat "pipecat-ai[deepgram]==1.14.0"
own_environment openai_agents "openai-agents[voice]==0.24.0"

cat > "$folder/environment" <<END
export HARKEN_NODE_CLIENTS=$folder/node
export HARKEN_LIVEKIT_PYTHON=$folder/livekit/bin/python
export HARKEN_PIPECAT_PYTHON=$folder/pipecat/bin/python
export HARKEN_OPENAI_AGENTS_PYTHON=$folder/openai_agents/bin/python
export PYTHONPATH=$folder/whisper_live
END
