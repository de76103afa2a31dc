import torch

from fashion.networks.heads import Head


def test_bnneck_is_batch_normalisation_without_a_shift_after_a_dense_layer():
    head = Head(6, 4, neck=True).double().train()
    with torch.no_grad():
        head.neck.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x @ head.dense.weight.T
    expected = (y - y.mean(0)) / (y.var(0, correction=0) + head.neck.eps).sqrt() * head.neck.weight
    found = head(x)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    trained = [name for name, p in head.named_parameters() if p.grad is not None]
    assert trained == ["dense.weight", "neck.weight"]


def test_bnneck_takes_a_single_sample_by_what_it_has_learned_of_many():
    head = Head(6, 4, neck=True).train()
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    head(x)
    before = {name: buffer.clone() for name, buffer in head.named_buffers()}
    one = head(x[:1])
    torch.testing.assert_close(one, head.eval()(x)[:1])
    torch.testing.assert_close(dict(head.named_buffers()), before)


def test_the_dense_layer_is_not_rounded_to_bfloat16_under_autocast():
    head = Head(64, 4)
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(x)
    torch.testing.assert_close(found, x @ head.dense.weight.T)
