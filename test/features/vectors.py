"""Feature vectors of ResNet-20 and the built-in network in float64, by PyTorch alone, for pictures that a formula gives.

python vectors.py RESNET20.safetensors FEATURES.safetensors > vectors.json
"""
import json, sys, numpy as np, torch, torch.nn.functional as F
import struct
def load_file(path):
    d = open(path, "rb").read(); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n]); h.pop("__metadata__", None)
    kind = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    part = lambda v: d[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
    return {k: np.frombuffer(part(v), kind[v["dtype"]]).reshape(v["shape"]) for k, v in h.items()}
torch.set_default_dtype(torch.float64)
def pictures(n, size):
    i, y, x, c = np.meshgrid(np.arange(n), np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    return ((x * (7 + 3 * i) + y * (13 - 2 * i) + x * y * (i + 1) // 5 + c * 41 + i * 59) % 256).astype(np.float64)
def resnet(path):
    t = {k: torch.tensor(v.astype(np.float64)) for k, v in load_file(path).items()}
    bn = lambda x, n: F.batch_norm(x, t[n + ".running_mean"], t[n + ".running_var"], t[n + ".weight"], t[n + ".bias"], False, 0, 1e-5)
    x = torch.tensor(pictures(2, 32)).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x = F.relu(bn(F.conv2d(x, t["conv1.weight"], padding=1), "bn1"))
    for s in (1, 2, 3):
        for b in range(3):
            p = f"layer{s}.{b}."; stride = 2 if s > 1 and b == 0 else 1
            y = F.relu(bn(F.conv2d(x, t[p + "conv1.weight"], padding=1, stride=stride), p + "bn1"))
            y = bn(F.conv2d(y, t[p + "conv2.weight"], padding=1), p + "bn2")
            if stride == 2:
                planes = y.shape[1]; x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4))
            x = F.relu(x + y)
    return x.mean((2, 3))
def builtin(path):
    t = {k: torch.tensor(v.astype(np.float64)) for k, v in load_file(path).items()}
    x = torch.tensor(pictures(2, 64)).permute(0, 3, 1, 2) / 127.5 - 1
    for l in range(4):
        x = F.conv2d(F.pad(x, (0, 1, 0, 1)), t[f"convs.{l}.kernel"].permute(3, 2, 0, 1), t[f"convs.{l}.bias"], stride=2)
        if l: x = F.group_norm(x, 8, t[f"norms.{l}.scale"], t[f"norms.{l}.bias"], 1e-5)
        x = F.relu(x)
    return x.mean((2, 3))
out = {"resnet20": resnet(sys.argv[1]), "builtin": builtin(sys.argv[2])}
print(json.dumps({k: [[float(f"{x:.7g}") for x in r] for r in v.tolist()] for k, v in out.items()}))
