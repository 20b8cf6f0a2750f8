"""The commands against an object server of its own process, with the bytes that go over a network."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec

import pytest

from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.stages.predict import predict
from eavctl.storage import tables
from eavctl.synthetic.tones import synth_speech

pytestmark = [pytest.mark.threads, pytest.mark.slow]
READS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}],
}


@pytest.fixture(scope="module")
def endpoint():
    """URL of an S3 server, ended with the module."""
    if not (find_spec("moto") and find_spec("s3fs")):
        pytest.skip("no moto, whose server speaks S3, or no s3fs")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        server.kill()


@pytest.fixture
def client(endpoint):
    """A client of an empty server; it needs neither s3fs nor a thread of this process."""
    import boto3

    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    for_all = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    session = boto3.Session("key", "secret")
    found = session.client("s3", **for_all)
    found.create_bucket(Bucket="bucket")
    found.iam = session.client("iam", **for_all)
    return found


@pytest.fixture
def eavctl(endpoint, tmp_path):
    """Runs a command line in a folder of its own; other keys stand in place of those of everyone."""

    def call(*words, **keys):
        named = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", **keys}
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            **{name.upper(): value for name, value in named.items()},
        }
        command = [sys.executable, "-m", "eavctl", *map(str, words)]
        found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return found.returncode, found.stdout, found.stderr

    return call


def put(client, folder, prefix):
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        client.put_object(Bucket="bucket", Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


def test_from_recordings_to_answers_without_a_file_on_this_machine(eavctl, client, tmp_path):
    tones, recipe = tmp_path / "tones", Recipe("seed33")
    synth_speech(tones, per_class=6, classes=("happy", "sad"))
    put(client, tones, "data/tones")
    table, model = "s3://bucket/out/feats.parquet", "s3://bucket/out/m.joblib"
    for is_done in (False, True):
        words = ("--features", "seed33", "-o", table, "--json", "--jobs", 2)
        code, out, err = eavctl("extract", "s3://bucket/data/tones/", *words)
        assert code == 0, err
        found = json.loads(out)
        assert (found["rows"], found["up_to_date"], found["out"]) == (12, is_done, table)
    code, _, err = eavctl("train-linear", table, "-o", model, "--folds", 2)
    assert code == 0, err
    code, out, err = eavctl("predict", "s3://bucket/data/tones", "--model", model, "--json")
    assert code == 0, err
    for name in ("feats.parquet", "m.joblib"):
        found = client.get_object(Bucket="bucket", Key=f"out/{name}")
        (tmp_path / name).write_bytes(found["Body"].read())
    extract(tones, tmp_path / "near.parquet", recipe)
    hashes = [tables.read_meta(tmp_path / name)["content_hash"] for name in ("feats.parquet", "near.parquet")]
    assert hashes[0] == hashes[1]
    near = predict(tones, tmp_path / "m.joblib").facts()["predictions"]
    far = json.loads(out)["predictions"]
    assert [(row["pred"], row["proba"]) for row in far] == [(row["pred"], row["proba"]) for row in near]
    assert not (tmp_path / "s3:").exists()


def test_dask_workers_fetch_the_recordings_themselves(eavctl, client, tmp_path):
    pytest.importorskip("distributed")
    tones = tmp_path / "tones"
    synth_speech(tones, per_class=10, classes=("happy", "sad"))
    put(client, tones, "tones")
    for name, more in (("one", ()), ("two", ("--dask", "local:2"))):
        words = ("s3://bucket/tones/", "--features", "seed33", "-o", f"{name}.parquet", *more)
        code, _, err = eavctl("extract", *words)
        assert code == 0, err
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_who_may_not_write_learns_it_before_any_work_and_the_object_stays(
    eavctl, client, endpoint, shared_data, tmp_path
):
    for path in sorted((shared_data / "emodb").rglob("*.flac"))[:3]:
        shutil.copy(path, tmp_path)
        client.put_object(Bucket="bucket", Key=f"emodb/{path.name}", Body=path.read_bytes())
    client.put_object(Bucket="bucket", Key="t.parquet", Body=b"before")
    client.iam.create_user(UserName="reader")
    client.iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=json.dumps(READS))
    key = client.iam.create_access_key(UserName="reader")["AccessKey"]
    url, headers = f"{endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, b"0", headers)).close()
    mine = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    try:
        line = ("extract", "s3://bucket/emodb", "--features", "seed33", "--force", "-o")
        code, _, err = eavctl(*line, "s3://bucket/t.parquet", **mine)
        assert (code, len(err.splitlines())) == (3, 1)
        assert "s3://bucket/t.parquet" in err
        code, _, err = eavctl(*line, "here.parquet", **mine)
        assert code == 0, err
        code, _, err = eavctl(*line, "here.parquet")  # a stranger may not even read
        assert (code, len(err.splitlines())) == (3, 1)
    finally:
        urllib.request.urlopen(urllib.request.Request(url, b"inf", headers)).close()
    assert client.get_object(Bucket="bucket", Key="t.parquet")["Body"].read() == b"before"
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")


@pytest.mark.parametrize(
    "line",
    [
        "extract s3://bucket/none/ -o t.parquet",
        "extract s3://nobody/here/ -o t.parquet",
        "predict s3://bucket/none.wav",
    ],
)
def test_what_is_not_there_is_one_line(eavctl, client, line):
    code, _, err = eavctl(*line.split())
    assert (code, len(err.splitlines())) == (3, 1)
    assert line.split()[1].rstrip("/") in err
