"""A PyTorch network in a module of its own, so that its class can be imported by name."""

import torch


class Net(torch.nn.Module):
    """Two layers with one weight in common, and a buffer: what a state dict has to keep apart."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.first = torch.nn.Linear(2, width)
        self.second = torch.nn.Linear(width, 1)
        self.again = torch.nn.Linear(2, width)
        self.again.weight = self.first.weight
        self.register_buffer("shift", torch.tensor(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x) + self.again(x))) + self.shift


def trained(width: int = 4) -> Net:
    """Return a network whose weights are not those that its class starts with."""
    net = Net(width)
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.add_(number / 8)
        net.shift.add_(1)
    return net


def no_network(width: int = 4) -> Net:
    """Build another module than `Net(width)`."""
    return Net(width + 1)
