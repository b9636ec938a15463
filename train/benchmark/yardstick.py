"""The report's SVG as it is published: frame by frame, LSTM cells stepped, every true frame encoded on its own, a
picture and a table read for every item.

Plain modules and plain loops, sharing no code with vidpred: the oracle of the parity tests, and what the benchmark
measures against. It is never used for anything else.
"""

import csv
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn


def vgg_layer(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, 1, 1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2))


class Encoder(nn.Module):
    def __init__(self, channels, w, g_dim):
        super().__init__()
        self.c1 = nn.Sequential(vgg_layer(channels, w), vgg_layer(w, w))
        self.c2 = nn.Sequential(vgg_layer(w, 2 * w), vgg_layer(2 * w, 2 * w))
        self.c3 = nn.Sequential(vgg_layer(2 * w, 4 * w), vgg_layer(4 * w, 4 * w), vgg_layer(4 * w, 4 * w))
        self.c4 = nn.Sequential(vgg_layer(4 * w, 8 * w), vgg_layer(8 * w, 8 * w), vgg_layer(8 * w, 8 * w))
        self.c5 = nn.Sequential(nn.Conv2d(8 * w, g_dim, 4, 1, 0), nn.BatchNorm2d(g_dim), nn.Tanh())
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x):
        h1 = self.c1(x)
        h2 = self.c2(self.pool(h1))
        h3 = self.c3(self.pool(h2))
        h4 = self.c4(self.pool(h3))
        return self.c5(self.pool(h4)).flatten(1), [h1, h2, h3, h4]


class Decoder(nn.Module):
    def __init__(self, channels, w, g_dim, condition_dim):
        super().__init__()
        if condition_dim:
            self.scale = nn.Sequential(nn.Linear(condition_dim, g_dim), nn.Softplus())
            self.shift = nn.Linear(condition_dim, g_dim)
        self.conditional = bool(condition_dim)
        self.upc1 = nn.Sequential(
            nn.ConvTranspose2d(g_dim * (2 if condition_dim else 1), 8 * w, 4, 1, 0),
            nn.BatchNorm2d(8 * w),
            nn.LeakyReLU(0.2),
        )
        self.upc2 = nn.Sequential(vgg_layer(16 * w, 8 * w), vgg_layer(8 * w, 8 * w), vgg_layer(8 * w, 4 * w))
        self.upc3 = nn.Sequential(vgg_layer(8 * w, 4 * w), vgg_layer(4 * w, 4 * w), vgg_layer(4 * w, 2 * w))
        self.upc4 = nn.Sequential(vgg_layer(4 * w, 2 * w), vgg_layer(2 * w, w))
        self.upc5 = nn.Sequential(vgg_layer(2 * w, w), nn.ConvTranspose2d(w, channels, 3, 1, 1), nn.Sigmoid())
        self.up = nn.UpsamplingNearest2d(scale_factor=2)

    def forward(self, g, skips, condition):
        if self.conditional:
            g = torch.cat([g, g * self.scale(condition) + self.shift(condition)], 1)
        x = self.upc1(g[:, :, None, None])
        for block, skip in zip([self.upc2, self.upc3, self.upc4, self.upc5], skips[::-1]):
            x = block(torch.cat([self.up(x), skip], 1))
        return x


class LSTM(nn.Module):
    """Embedding and stepped cells; the state lives on the module, as in the published code."""

    def __init__(self, in_dim, size, layers):
        super().__init__()
        self.embed = nn.Linear(in_dim, size)
        self.cells = nn.ModuleList(nn.LSTMCell(size, size) for _ in range(layers))
        self.size = size

    def init_hidden(self, batch):
        zeros = self.embed.weight.new_zeros(batch, self.size)
        self.hidden = [(zeros, zeros) for _ in self.cells]

    def forward(self, x):
        y = self.embed(x)
        for i, cell in enumerate(self.cells):
            self.hidden[i] = cell(y, self.hidden[i])
            y = self.hidden[i][0]
        return y


class FramePredictor(LSTM):
    def __init__(self, in_dim, size, out_dim, layers, norm):
        super().__init__(in_dim, size, layers)
        norms = [nn.BatchNorm1d(out_dim)] if norm == "batch" else []
        self.output = nn.Sequential(nn.Linear(size, out_dim), *norms, nn.Tanh())

    def forward(self, x):
        return self.output(super().forward(x))


class GaussianLSTM(LSTM):
    def __init__(self, in_dim, size, z_dim):
        super().__init__(in_dim, size, 1)
        self.mu_net = nn.Linear(size, z_dim)
        self.logvar_net = nn.Linear(size, z_dim)

    def forward(self, x, eps):
        y = super().forward(x)
        mu, logvar = self.mu_net(y), self.logvar_net(y)
        return mu + eps * torch.exp(0.5 * logvar), mu, logvar


class PublishedSVG(nn.Module):
    """`config` is read for sizes, the prior and the condition only; the loop is the published one."""

    def __init__(self, config):
        super().__init__()
        c = self.config = config
        condition_dim = 7 if c.condition == "actions" else 0
        self.encoder = Encoder(3, c.width, c.g_dim)
        self.decoder = Decoder(3, c.width, c.g_dim, condition_dim)
        self.frame_predictor = FramePredictor(
            c.g_dim + c.z_dim, c.rnn_size, c.g_dim, c.predictor_layers, c.predictor_norm
        )
        self.posterior = GaussianLSTM(c.g_dim, c.rnn_size, c.z_dim)
        if c.learned_prior:
            self.prior = GaussianLSTM(c.g_dim, c.rnn_size, c.z_dim)

    def init_hidden(self, batch):
        for net in [self.frame_predictor, self.posterior] + ([self.prior] if self.config.learned_prior else []):
            net.init_hidden(batch)

    def loss(self, x, conditions, noise, n_past, beta, teacher_forcing):
        """x: list of T frames (B, C, H, W); conditions and noise: lists of T and T-1. -> loss, mse, kld."""
        self.init_hidden(len(x[0]))
        seq = [self.encoder(frame) for frame in x]  # every true frame on its own
        mse = kld = 0.0
        x_pred = None
        for i in range(1, len(x)):
            h_target = seq[i][0]
            # predictions are fed back inside the context too: the published quirk
            h = seq[i - 1][0] if i == 1 or teacher_forcing else self.encoder(x_pred)[0]
            if self.config.last_frame_skip or i < n_past:
                skip = seq[i - 1][1]  # freezes one frame early: the published quirk
            z, mu, logvar = self.posterior(h_target, noise[i - 1])
            if self.config.learned_prior:
                _, mu_p, logvar_p = self.prior(h, noise[i - 1])
                kl = (
                    torch.log(torch.exp(0.5 * logvar_p) / torch.exp(0.5 * logvar))
                    + (torch.exp(logvar) + (mu - mu_p) ** 2) / (2 * torch.exp(logvar_p))
                    - 0.5
                )
            else:
                kl = -0.5 * (1 + logvar - mu**2 - torch.exp(logvar))
            g = self.frame_predictor(torch.cat([h, z], 1))
            x_pred = self.decoder(g, skip, conditions[i - 1])
            mse = mse + nn.functional.mse_loss(x_pred, x[i])
            kld = kld + kl.sum() / len(x[0])
        return mse + beta * kld, mse, kld

    @torch.no_grad()
    def generate(self, x, conditions, noise, n_past, steps):
        """Context frames as given, then predictions fed back; z of a prediction from N(0, I), as the report did."""
        self.init_hidden(len(x[0]))
        x_in, generated = x[0], [x[0]]
        for i in range(1, steps + 1):
            if self.config.last_frame_skip or i < n_past:
                h, skip = self.encoder(x_in)
            else:
                h = self.encoder(x_in)[0]
            if i < n_past:
                h_target = self.encoder(x[i])[0]
                z, _, _ = self.posterior(h_target, noise[i - 1])
                self.frame_predictor(torch.cat([h, z], 1))
                x_in = x[i]
            else:
                g = self.frame_predictor(torch.cat([h, noise[i - 1]], 1))
                x_in = self.decoder(g, skip, conditions[i - 1])
            generated.append(x_in)
        return generated


def copy_weights(model, published):
    """Put the weights of a vidpred SVG into the published modules, and return {published name: vidpred name}."""
    names = {}

    def layer(theirs, ours):
        for part, name in (("0", "conv"), ("1", "norm")):
            names[f"{theirs}.{part}"] = f"{ours}.{name}"

    for b, (block, layers) in enumerate([("c1", 2), ("c2", 2), ("c3", 3), ("c4", 3)]):
        for i in range(layers):
            layer(f"encoder.{block}.{i}", f"encoder.blocks.{b}.{i}")
    names |= {"encoder.c5.0": "encoder.head", "encoder.c5.1": "encoder.norm"}
    names |= {"decoder.upc1.0": "decoder.head", "decoder.upc1.1": "decoder.norm"}
    for b, (block, layers) in enumerate([("upc2", 3), ("upc3", 3), ("upc4", 2), ("upc5", 1)]):
        for i in range(layers):
            layer(f"decoder.{block}.{i}", f"decoder.blocks.{b}.{i}")
    names |= {"decoder.upc5.1": "decoder.to_rgb"}
    names |= {"decoder.scale.0": "decoder.condition.scale", "decoder.shift": "decoder.condition.shift"}
    names |= {"frame_predictor.output.0": "frame_predictor.out", "frame_predictor.output.1": "frame_predictor.norm"}
    for net in ("frame_predictor", "posterior", "prior"):
        names |= {f"{net}.embed": f"{net}.embed", f"{net}.mu_net": f"{net}.mu", f"{net}.logvar_net": f"{net}.logvar"}
    ours, theirs, pairs = model.state_dict(), published.state_dict(), {}
    for name in theirs:
        if name.endswith("num_batches_tracked"):
            continue
        module, leaf = name.rsplit(".", 1)
        if ".cells." in name:
            net, _, layer_number = module.rsplit(".", 2)
            pairs[name] = f"{net}.lstm.{leaf}_l{layer_number}"
        else:
            pairs[name] = f"{names[module]}.{leaf}"
    assert set(pairs.values()) == set(ours), set(pairs.values()) ^ set(ours)
    published.load_state_dict({name: ours[pair] for name, pair in pairs.items()}, strict=False)
    return pairs


class PublishedClips:
    """The published loader: an item is a clip's first frames, each read from its PNG, and its rows of two CSV files."""

    def __init__(self, root, length):
        self.folders = sorted(path for path in Path(root).glob("*/*") if path.is_dir())
        self.length = length

    def item(self, folder):
        frames = []
        for t in range(self.length):
            with Image.open(folder / f"{t}.png") as picture:
                frames.append(torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255)
        rows = []
        for name in ("actions.csv", "endeffector_positions.csv"):
            with open(folder / name) as file:
                rows.append([[float(v) for v in row] for row in list(csv.reader(file))[: self.length]])
        return torch.stack(frames), torch.cat([torch.tensor(part) for part in rows], 1)

    def batch(self, size, number):
        chosen = random.Random(number).choices(self.folders, k=size)
        frames, conditions = zip(*(self.item(folder) for folder in chosen))
        return torch.stack(frames), torch.stack(conditions)
