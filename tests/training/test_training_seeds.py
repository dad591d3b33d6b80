"""Random numbers for one purpose leave those of the caller as they were."""

import torch

from nearbit.training.seeds import torch_seeded


def test_the_state_before_is_back_after_a_block_and_the_same_purpose_draws_the_same():
    torch.manual_seed(7)
    first = torch.rand(3)
    torch.manual_seed(7)
    drawn = []
    for _ in range(2):
        with torch_seeded(0, "a purpose", 1):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(3), first)


def test_a_gpu_that_has_not_begun_keeps_its_seed(monkeypatch):
    given = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", given.append)
    torch.manual_seed(7)
    with torch_seeded(0, "a purpose"):
        assert given[-1] != 7
    assert given[-1] == 7
