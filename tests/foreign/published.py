"""Modules as SVG scripts and dance trainers define them, in their layout of names, and the loops that sample from them.

Plain modules that share no code with vidpred. `saved_by_a_script` pickles them as classes of modules that do not exist
where the file is read.
"""

import argparse
import contextlib
import sys
import types

import torch
from torch import nn


class vgg_layer(nn.Module):
    def __init__(self, nin, nout):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(nin, nout, 3, 1, 1), nn.BatchNorm2d(nout), nn.LeakyReLU(0.2, inplace=True))

    def forward(self, x):
        return self.main(x)


class encoder(nn.Module):
    def __init__(self, dim, w, nc=3):
        super().__init__()
        self.dim = dim
        self.c1 = nn.Sequential(vgg_layer(nc, w), vgg_layer(w, w))
        self.c2 = nn.Sequential(vgg_layer(w, 2 * w), vgg_layer(2 * w, 2 * w))
        self.c3 = nn.Sequential(vgg_layer(2 * w, 4 * w), vgg_layer(4 * w, 4 * w), vgg_layer(4 * w, 4 * w))
        self.c4 = nn.Sequential(vgg_layer(4 * w, 8 * w), vgg_layer(8 * w, 8 * w), vgg_layer(8 * w, 8 * w))
        self.c5 = nn.Sequential(nn.Conv2d(8 * w, dim, 4, 1, 0), nn.BatchNorm2d(dim), nn.Tanh())
        self.mp = nn.MaxPool2d(kernel_size=2, stride=2, padding=0)

    def forward(self, x):
        h1 = self.c1(x)
        h2 = self.c2(self.mp(h1))
        h3 = self.c3(self.mp(h2))
        h4 = self.c4(self.mp(h3))
        return self.c5(self.mp(h4)).view(-1, self.dim), [h1, h2, h3, h4]


class decoder(nn.Module):
    """cond: the report's conditional decoder; its shift is defined before its scale."""

    def __init__(self, dim, w, nc=3, cond=0):
        super().__init__()
        self.cond = cond
        if cond:
            self.shift = nn.Linear(cond, dim)
            self.scale = nn.Sequential(nn.Linear(cond, dim), nn.Softplus())
        into = 2 * dim if cond else dim
        self.upc1 = nn.Sequential(nn.ConvTranspose2d(into, 8 * w, 4, 1, 0), nn.BatchNorm2d(8 * w), nn.LeakyReLU(0.2))
        self.upc2 = nn.Sequential(vgg_layer(16 * w, 8 * w), vgg_layer(8 * w, 8 * w), vgg_layer(8 * w, 4 * w))
        self.upc3 = nn.Sequential(vgg_layer(8 * w, 4 * w), vgg_layer(4 * w, 4 * w), vgg_layer(4 * w, 2 * w))
        self.upc4 = nn.Sequential(vgg_layer(4 * w, 2 * w), vgg_layer(2 * w, w))
        self.upc5 = nn.Sequential(vgg_layer(2 * w, w), nn.ConvTranspose2d(w, nc, 3, 1, 1), nn.Sigmoid())
        self.up = nn.UpsamplingNearest2d(scale_factor=2)

    def forward(self, vec, skip, condition=None):
        if self.cond:
            vec = torch.cat([vec, vec * self.scale(condition) + self.shift(condition)], 1)
        x = self.upc1(vec[:, :, None, None])
        for block, lateral in zip((self.upc2, self.upc3, self.upc4, self.upc5), skip[::-1]):
            x = block(torch.cat([self.up(x), lateral], 1))
        return x


class lstm(nn.Module):
    """norm: the report's BatchNorm, which the original has not."""

    def __init__(self, input_size, output_size, hidden_size, n_layers, batch_size, norm=False):
        super().__init__()
        self.hidden_size, self.n_layers, self.batch_size = hidden_size, n_layers, batch_size
        self.embed = nn.Linear(input_size, hidden_size)
        self.lstm = nn.ModuleList([nn.LSTMCell(hidden_size, hidden_size) for _ in range(n_layers)])
        self.output = nn.Sequential(
            nn.Linear(hidden_size, output_size), *[nn.BatchNorm1d(output_size)] * norm, nn.Tanh()
        )
        self.hidden = self.init_hidden()

    def init_hidden(self):
        return [(torch.zeros(self.batch_size, self.hidden_size),) * 2 for _ in range(self.n_layers)]

    def forward(self, x):
        h_in = self.embed(x)
        for i, cell in enumerate(self.lstm):
            self.hidden[i] = cell(h_in, self.hidden[i])
            h_in = self.hidden[i][0]
        return self.output(h_in)


class gaussian_lstm(lstm):
    def __init__(self, input_size, output_size, hidden_size, n_layers, batch_size):
        super().__init__(input_size, output_size, hidden_size, n_layers, batch_size)
        del self.output
        self.mu_net = nn.Linear(hidden_size, output_size)
        self.logvar_net = nn.Linear(hidden_size, output_size)
        self.output = nn.Identity()

    def forward(self, x):
        h = super().forward(x)
        return self.mu_net(h), self.logvar_net(h)


def svg_modules(width=2, g=6, z=3, rnn=8, batch=2, learned=True, norm=False, cond=0):
    """What a script trains, with weights and running statistics that are not those of a new network."""
    torch.manual_seed(1)
    nets = {
        "encoder": encoder(g, width),
        "decoder": decoder(g, width, cond=cond),
        "frame_predictor": lstm(g + z, g, rnn, 2, batch, norm),
        "posterior": gaussian_lstm(g, z, rnn, 1, batch),
        **({"prior": gaussian_lstm(g, z, rnn, 1, batch)} if learned else {}),
    }
    for net in nets.values():
        for p in net.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
    x, c = torch.rand(6, 3, 64, 64), torch.randn(6, cond)
    for _ in range(10):
        h, skip = nets["encoder"](x)
        nets["decoder"](h + 0.1 * torch.randn_like(h), skip, c)
        if norm:
            nets["frame_predictor"].output(torch.randn(6, rnn))
    for net in nets.values():
        net.eval()
        if hasattr(net, "hidden"):
            net.hidden = net.init_hidden()
    return nets


def svg_options(**changes):
    """`opt`, with the class of the optimizer in it, as the scripts leave it there."""
    known = {"n_past": 2, "n_future": 4, "lr": 0.002, "beta1": 0.9, "batch_size": 12, "niter": 300, "beta": 1e-4}
    return argparse.Namespace(**known, optimizer=torch.optim.Adam, dataset="bair", last_frame_skip=False, **changes)


@torch.no_grad()
def svg_samples(nets, x, conditions, noise, n_past, learned):
    """Futures as the generation scripts make them. x: (B, n_past, …), noise: (B, steps, z) -> (B, steps, …)."""
    for net in nets.values():
        if hasattr(net, "hidden"):
            net.hidden = net.init_hidden()
    x_in, made = x[:, 0], []
    for i in range(1, noise.shape[1] + 1):
        h, fresh = nets["encoder"](x_in)
        if i < n_past:
            skip = fresh
            mu, logvar = nets["posterior"](nets["encoder"](x[:, i])[0])
            if "prior" in nets:
                nets["prior"](h)
            nets["frame_predictor"](torch.cat([h, mu + torch.exp(0.5 * logvar) * noise[:, i - 1]], 1))
            x_in = x[:, i]
            continue
        z = noise[:, i - 1]
        if learned:
            mu, logvar = nets["prior"](h)
            z = mu + torch.exp(0.5 * logvar) * z
        h_pred = nets["frame_predictor"](torch.cat([h, z], 1))
        x_in = nets["decoder"](h_pred, skip, None if conditions is None else conditions[:, i - 1])
        made.append(x_in)
    return torch.stack(made, 1)


class ResidualBlock(nn.Module):
    def __init__(self, in_ch, out_ch):
        super().__init__()
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.leaky_relu = nn.LeakyReLU(0.01)
        self.conv2 = nn.Conv2d(out_ch, out_ch, 3, padding=1)
        self.adaptor = nn.Conv2d(in_ch, out_ch, 1) if in_ch != out_ch else None

    def forward(self, x):
        y = self.leaky_relu(self.conv2(self.leaky_relu(self.conv1(x))))
        return y + (x if self.adaptor is None else self.adaptor(x))


class DepthConv(nn.Module):
    def __init__(self, in_ch, out_ch):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(in_ch, in_ch, 1), nn.LeakyReLU(0.01))
        self.depth_conv = nn.Conv2d(in_ch, in_ch, 3, padding=1, groups=in_ch)
        self.conv2 = nn.Conv2d(in_ch, out_ch, 1)
        self.adaptor = nn.Conv2d(in_ch, out_ch, 1) if in_ch != out_ch else None

    def forward(self, x):
        y = self.conv2(self.depth_conv(self.conv1(x)))
        return y + (x if self.adaptor is None else self.adaptor(x))


class ConvFFN(nn.Module):
    def __init__(self, ch):
        super().__init__()
        self.conv = nn.Conv2d(ch, 4 * ch, 1)
        self.conv_out = nn.Conv2d(2 * ch, ch, 1)
        self.relu = nn.LeakyReLU(0.1)

    def forward(self, x):
        a, b = self.conv(x).chunk(2, 1)
        return x + self.conv_out(a * self.relu(b))


def depth_conv_block(i, o):
    return nn.Sequential(DepthConv(i, o), ConvFFN(o))


class VAE(nn.Module):
    """The dance model; its LeakyReLU(True) has slope 1. activation: what it ends with."""

    def __init__(self, f=8, p=4, n=4, d=8, activation=None):
        super().__init__()
        block, deep = ResidualBlock, depth_conv_block
        self.frame_transformation = nn.Sequential(
            *(block(3, f // 8), deep(f // 8, f // 8), block(f // 8, f // 4), deep(f // 4, f // 4)),
            *(block(f // 4, f // 2), deep(f // 2, f // 2), nn.Conv2d(f // 2, f, 3, padding=1)),
        )
        self.label_transformation = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(3, p // 2, 7), nn.BatchNorm2d(p // 2), nn.LeakyReLU(True)),
            block(p // 2, p),
        )
        self.Gaussian_Predictor = nn.Sequential(
            *(block(f + p, n // 4), deep(n // 4, n // 4), block(n // 4, n // 2), deep(n // 2, n // 2)),
            *(block(n // 2, n), nn.LeakyReLU(True), nn.Conv2d(n, 2 * n, 1)),
        )
        c = f + p + n
        self.Decoder_Fusion = nn.Sequential(
            *(deep(c, c), block(c, c // 4), deep(c // 4, c // 2), block(c // 2, c // 2)),
            *(deep(c // 2, d // 2), nn.Conv2d(d // 2, d, 1)),
        )
        self.Generator = nn.Sequential(
            *(deep(d, d), block(d, d // 2), deep(d // 2, d // 2), block(d // 2, d // 4)),
            *(deep(d // 4, d // 4), block(d // 4, d // 8), deep(d // 8, d // 8), nn.Conv2d(d // 8, 3, 1)),
        )
        self.activation = activation or nn.Identity()

    @torch.no_grad()
    def samples(self, frame, poses, noise):
        """frame: (B, …), poses: (B, T, …), noise: (B, T-1, z, …) -> (B, T-1, …)."""
        made = []
        for t in range(1, poses.shape[1]):
            h, pose = self.frame_transformation(frame), self.label_transformation(poses[:, t])
            code = self.Decoder_Fusion(torch.cat([h, pose, noise[:, t - 1]], 1))
            frame = self.activation(self.Generator(code))
            made.append(frame)
        return torch.stack(made, 1)


@contextlib.contextmanager
def defined_in(name):
    """Inside, the classes above are those of a module of another name, as in a script's own checkout."""
    here, there = sys.modules[__name__], types.ModuleType(name)
    there.__file__ = here.__file__  # the old format keeps the source of classes
    own = [value for value in vars(here).values() if isinstance(value, type) and value.__module__ == __name__]
    for value in own:
        setattr(there, value.__name__, value)
        value.__module__ = name
    sys.modules[name] = there
    try:
        yield
    finally:
        del sys.modules[name]
        for value in own:
            value.__module__ = __name__


def saved_by_a_script(values, path, new_format):
    """torch.save in one of its two formats, of classes that nobody can import afterwards."""
    with defined_in("vgg_64_of_a_script"):
        torch.save(values, path, _use_new_zipfile_serialization=new_format)
    return path
