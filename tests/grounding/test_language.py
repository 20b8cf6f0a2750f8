"""Encoders of phrases: padding never matters, and BERT's public weights give BERT's own features."""

import json

import pytest
import torch

from eavctl.errors import DataError
from eavctl.grounding import language
from eavctl.grounding.language import BertEncoder, WordEncoder, language_for
from eavctl.grounding.vocabulary import Vocabulary, WordPieces

SMALL = {"hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 32, "num_hidden_layers": 2}
N_WORDS = 30


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(language, "BERT", SMALL)
    torch.manual_seed(0)


def tokens():
    return torch.randint(1, N_WORDS, (3, 6), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", [WordEncoder, BertEncoder])
@pytest.mark.parametrize("training", [True, False])
def test_padding_never_matters(make, training):
    net = make(N_WORDS).eval()
    net.train(training and make is WordEncoder)  # which has no dropout
    x, mask = tokens(), torch.ones(3, 6, dtype=torch.bool)
    mask[0, 4:] = False
    other = x.clone()
    other[0, 4:] = 5
    found = net(other, mask)
    torch.testing.assert_close(found[:1, :4], net(x[:1, :4], mask[:1, :4]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1:], net(x[1:], mask[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [WordEncoder, BertEncoder])
def test_the_order_of_the_words_matters(make):
    net, x = make(N_WORDS).eval(), tokens()
    turned = torch.cat([x[:, :1], x[:, 1:].flip(1)], dim=1)
    mask = torch.ones_like(x, dtype=torch.bool)
    assert (net(x, mask)[:, 0] - net(turned, mask)[:, 0]).abs().max() > 1e-4


def test_word_pieces_are_for_bert_and_words_for_the_small_transformer():
    assert isinstance(language_for(Vocabulary(["[PAD]", "[UNK]", "[CLS]"])), WordEncoder)
    assert isinstance(language_for(WordPieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])), BertEncoder)


@pytest.fixture(params=["BertModel", "BertForPreTraining"])
def checkpoint(request, tmp_path):
    """BERT of 4 layers, of which the encoder uses 2."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(7)
    config = transformers.BertConfig(vocab_size=N_WORDS, **SMALL | {"num_hidden_layers": 4})
    model = getattr(transformers, request.param)(config).eval()
    model.save_pretrained(tmp_path)
    return tmp_path, getattr(model, "bert", model)


def test_public_weights_give_the_states_after_the_first_layers(checkpoint):
    folder, public = checkpoint
    net = BertEncoder(N_WORDS).eval()
    net.load_weights(folder)
    x = tokens()
    expected = public(input_ids=x, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(net(x, torch.ones_like(x, dtype=torch.bool)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "fault",
    [
        {"num_hidden_layers": 10**8},
        {"num_hidden_layers": 1},
        {"num_hidden_layers": "x"},
        {"vocab_size": 10**9},
        {"hidden_size": 48},
        {"model_type": "vit"},
    ],
)
def test_weights_that_do_not_fit_are_refused(checkpoint, fault):
    folder, _ = checkpoint
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | fault))
    with pytest.raises(DataError, match=str(folder)):
        BertEncoder(N_WORDS).load_weights(folder)
