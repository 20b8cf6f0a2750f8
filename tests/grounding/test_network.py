"""The grounding network: the law starts as the static network, rows and padding stay apart, gradients fit."""

import json

import pytest
import torch
from square_scenes import scenes
from torch import nn

from eavctl.classifiers.network import as_batch
from eavctl.errors import DataError, UsageError
from eavctl.grounding import backbone, language
from eavctl.grounding.examples import question, truth
from eavctl.grounding.losses import row_losses, weighted_sum
from eavctl.grounding.network import GroundNet, build_network
from eavctl.grounding.vocabulary import Vocabulary, WordPieces

FUSIONS = ("law", "film", "late", "none")
DATA = scenes(12)
VOCABULARY = Vocabulary.of(DATA.phrases)


def build(fusion="law", seed=0, started=False):
    torch.manual_seed(seed)
    net = GroundNet(VOCABULARY, side=32, fusion=fusion).eval()
    if started:  # as after some steps of a training
        for part in net.changes.parameters():
            nn.init.normal_(part, std=0.2)
    return net


def batch(n=12):
    return as_batch(DATA.rows(VOCABULARY).streams[:n], torch.device("cpu"))


def loss_of(net, x):
    return weighted_sum(row_losses(net(*question(x)), truth(x)))


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_answers_have_the_shapes_of_the_contract(fusion):
    boxes, masks, scores = build(fusion, started=True)(*question(batch()))
    assert (boxes.shape, masks.shape, scores.shape) == ((12, 4), (12, 32, 32), (12,))
    assert (boxes > 0).all()
    assert (boxes < 1).all()


@pytest.mark.parametrize("fusion", ["law", "film"])
def test_at_the_start_outputs_and_gradients_are_those_of_the_static_network(fusion):
    net, static, x = build(fusion), build("late", seed=1), batch()
    missing, unexpected = net.load_state_dict(static.state_dict(), strict=False)
    assert all(name.startswith("changes.") for name in missing)
    assert unexpected == []
    for one, other in zip(net(*question(x)), static(*question(x)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for each in (net, static):
        loss_of(each, x).backward()
    own = dict(net.named_parameters())
    for name, value in static.named_parameters():
        if value.grad is None:
            assert name.endswith("cls_token")
        else:
            torch.testing.assert_close(own[name].grad, value.grad, rtol=1e-4, atol=1e-6)
    assert any(value.grad.abs().sum() > 0 for value in net.changes.parameters())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_padding_never_matters(fusion):
    net = build(fusion, started=True)
    pictures, tokens, mask = question(batch())
    longer = torch.nn.functional.pad(tokens, (0, 5), value=4)
    close(net(pictures, longer, torch.nn.functional.pad(mask, (0, 5))), net(pictures, tokens, mask))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_row_changes_no_other_row(fusion):
    net = build(fusion, started=True)
    pictures, tokens, mask = (each.clone() for each in question(batch()))
    before = net(pictures, tokens, mask)
    pictures[3], tokens[3] = 255 - pictures[3], tokens[3].flip(0)
    after = net(pictures, tokens, mask)
    others = torch.arange(12) != 3
    close([part[others] for part in after], [part[others] for part in before])
    assert (after[1][3] - before[1][3]).abs().max() > 1e-3


@pytest.mark.parametrize("fusion", FUSIONS)
def test_phrases_are_seen_but_by_the_control(fusion):
    net = build(fusion, started=True)
    pictures, tokens, mask = question(batch())
    other = tokens.clone()
    other[:, 1:] = torch.where(mask[:, 1:], 4, 0)
    before, after = net(pictures, tokens, mask), net(pictures, other, mask)
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one, two) == (fusion == "none")


@pytest.mark.parametrize("fusion", ["law", "film"])
def test_features_of_the_places_depend_on_the_phrase(fusion):
    net = build(fusion, started=True)
    pictures, tokens, mask = question(batch())
    pictures = pictures[:1].expand(12, -1, -1, -1)
    words = net.language(tokens, mask)
    places = net.visual(pictures, net.changes(words, mask))
    assert (places[0] - places[1:]).abs().max() > 1e-3
    late = build("late")
    same = late.visual(pictures, late.changes(words, mask))
    torch.testing.assert_close(same, same[:1].expand_as(same), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_gradient_is_that_of_differences(fusion):
    net, x = build(fusion, started=True).double(), batch(6)
    loss_of(net, x).backward()
    generator = torch.Generator().manual_seed(5)
    for part in (net.changes, net.visual, net.language, net.mask, net.box, net.score, net.pooling):
        weights = [value for value in part.parameters() if value.grad is not None]
        if not weights:
            continue
        steps = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
        slope = sum((w.grad * step).sum() for w, step in zip(weights, steps, strict=True))
        ends = []
        with torch.no_grad():
            for size in (1e-6, -2e-6, 1e-6):  # there, as far beyond the start, and back
                for w, step in zip(weights, steps, strict=True):
                    w += size * step
                ends.append(loss_of(net, x))
        assert ((ends[0] - ends[1]) / 2e-6).item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_network_is_built_again_from_its_description(fusion):
    net = build(fusion, started=True)
    meta = {"size": "tiny", "side": 32, "fusion": fusion, "vocabulary": VOCABULARY.to_meta()}
    again = build_network(json.loads(json.dumps(meta)))
    again.load_state_dict(net.state_dict())
    for one, other in zip(again.eval()(*question(batch())), net(*question(batch())), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("wrong", [{"size": "huge"}, {"fusion": "early"}, {"side": 33}, {"side": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        GroundNet(VOCABULARY, **wrong)


@pytest.fixture
def bert(monkeypatch, tmp_path):
    """A folder of BERT's weights and vocabulary, small and random."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    small = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
    monkeypatch.setattr(language, "BERT", small)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "left", "right", "square", "r", "##ed"]
    torch.manual_seed(3)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **small)).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    return tmp_path


def test_public_weights_of_both_parts_load_and_can_be_frozen(bert, tmp_path_factory):
    vocabulary = WordPieces.read(bert)
    net = GroundNet(vocabulary, side=32)
    folder = tmp_path_factory.mktemp("vit")
    net.visual.body.save_pretrained(folder)
    assert net.body is None
    net.load_weights(folder, bert)
    frozen = {id(value) for value in net.body.parameters()}
    assert frozen == {id(value) for part in (net.visual, net.language) for value in part.parameters()}
    tokens = torch.from_numpy(vocabulary.encode(["the red square", "left"]))
    boxes, _, _ = net.eval()(batch(2).tensors[0], tokens, tokens != 0)
    assert boxes.shape == (2, 4)
    with pytest.raises(DataError):
        net.load_weights(bert, None)
    with pytest.raises(UsageError):
        build().load_weights(None, bert)


def test_the_public_sizes_fit_the_law():
    for shape in backbone.SIZES.values():
        assert shape.width % shape.heads == 0
        assert shape.rank < shape.width
    assert language.WIDTH % 12 == 0
    assert language.BERT["hidden_size"] % 12 == 0
