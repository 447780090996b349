"""Files of every form that the package reads, and ways to damage them."""

import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.table import Table
from PIL import Image

SIDE = 48
SHARE = 1000  # bytes for each that is flipped
NUMBERS = (-1, 0, 1, -32, 999, 65_536, 2**31 - 1, 2**31, 2**40, 10**17)
PICTURES = {
    "jpg": {}, "png": {}, "tif": {"compression": "tiff_deflate"}, "webp": {},
    "avif": {}, "gif": {}, "bmp": {}, "jp2": {}, "ppm": {},
}  # fmt: skip
FITS = ("fits", "fits.gz", "fits.bz2", "fits.fz", "mef.fits", "table.fits")
STACKS = ("h5", "npy", "npz", "zip", "lzma.zip", "tar", "tar.gz", "arrow")
TABLES = ("csv", "ecsv", "vot", "parquet", "tbl", "jsonl")
FORMS = (*PICTURES, *FITS, *STACKS, *TABLES)


def galaxy(rng: np.random.Generator) -> np.ndarray:
    """Draw a blob with noise: (S, S, 3) uint8."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    light = np.exp(-np.hypot(x, y * rng.uniform(1, 2)) / 6)[..., None]
    noise = rng.normal(0.1, 0.02, (SIDE, SIDE, 3))
    return (255 * (0.8 * light + noise).clip(0, 1)).astype(np.uint8)


def picture(form: str, rng: np.random.Generator) -> bytes:
    """Write a galaxy as a picture file."""
    out = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(form, form.upper())
    Image.fromarray(galaxy(rng)).save(out, kind, **PICTURES[form])
    return out.getvalue()


def astronomical(form: str, rng: np.random.Generator, folder: Path) -> bytes:
    """Write a galaxy as FITS of some form."""
    flux = galaxy(rng).transpose(2, 0, 1).astype(np.float32) / 255
    header = fits.Header({"BANDS": "grz", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CRPIX1": 24, "CRPIX2": 24, "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CDELT1": -7e-5, "CDELT2": 7e-5, "CUNIT1": "deg", "CUNIT2": "deg"})
    columns = Table({"id": ["a", "b"], "ra": [150.0, 151.0], "dec": [2.0, 3.0]})
    empty = fits.PrimaryHDU()
    hdus = {
        "fits.fz": [empty, fits.CompImageHDU(flux[0], compression_type="GZIP_1")],
        "mef.fits": [empty, fits.ImageHDU(flux, header), fits.ImageHDU(flux)],
        "table.fits": [empty, fits.BinTableHDU(columns)],
    }.get(form, [fits.PrimaryHDU(flux, header)])
    path = folder / f"original.{form}"
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path.read_bytes()


def stack(form: str, rng: np.random.Generator) -> bytes:
    """Write ten galaxies into one file."""
    images = np.stack([galaxy(rng) for _ in range(10)])
    out = io.BytesIO()
    if form == "h5":
        with h5py.File(out, "w") as file:
            file.create_dataset(
                "images", data=images, chunks=(5, 24, 24, 1), compression="gzip"
            )
            file["ans"] = np.arange(10, dtype=np.uint8)
            file["ra"], file["dec"] = np.arange(10.0), np.arange(10.0)
    elif form == "npy":
        np.save(out, images)
    elif form == "npz":
        np.savez_compressed(out, images=images, label=["a", "b"] * 5)
    elif form.startswith("tar"):
        with tarfile.open(fileobj=out, mode=f"w:{form[4:]}") as archive:
            for k in range(8):
                content = picture("png", rng)
                info = tarfile.TarInfo(f"class {k % 2}/{'n' * 20 * k}{k}.png")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    elif form == "arrow":
        cells = [{"bytes": picture("png", rng), "path": None} for _ in range(8)]
        rows = pa.table({"image": cells, "label": ["a", "b"] * 4})
        with pa.ipc.new_stream(out, rows.schema) as writer:
            writer.write_table(rows)
    else:
        how = zipfile.ZIP_LZMA if form == "lzma.zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(out, "w", how) as archive:
            for k, form_inside in enumerate(("png", "jpg", "bmp", "tif") * 3):
                archive.writestr(
                    f"class {k % 2}/{k}.{form_inside}", picture(form_inside, rng)
                )
    return out.getvalue()


def table(form: str, folder: Path) -> bytes:
    """Write paths, positions and labels."""
    rows = Table({"path": ["x.png", "y.png"] * 4, "label": ["c 0", "c 1"] * 4})
    rows["ra"], rows["dec"] = np.arange(8.0), np.arange(8.0)
    path = folder / f"original.{form}"
    kinds = {"ecsv": "ascii.ecsv", "vot": "votable", "csv": "ascii.csv"}
    if form == "jsonl":
        lines = (dict(zip(rows.colnames, row, strict=True)) for row in rows)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        kind = (kinds | {"tbl": "ascii.ipac"}).get(form, form)
        rows.write(path, format=kind, overwrite=True)
    return path.read_bytes()


def originals(folder: Path, seed: int) -> dict[str, bytes]:
    """Make one whole file of each form."""
    rng = np.random.default_rng(seed)
    made = {form: picture(form, rng) for form in PICTURES}
    made |= {form: astronomical(form, rng, folder) for form in FITS}
    made |= {form: stack(form, rng) for form in STACKS}
    return made | {form: table(form, folder) for form in TABLES}


def _flip(content: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 1 + len(content) // SHARE)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _flip_early(content: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 8)):
        content[dice.randrange(min(512, len(content)))] = dice.randrange(256)


def _cut(content: bytearray, dice: random.Random) -> None:
    del content[dice.randrange(len(content)) :]


def _zero(content: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(content))
    end = min(len(content), start + dice.choice((16, 256, 4096)))
    content[start:end] = bytes([dice.choice((0, 255))]) * (end - start)


def _insert(content: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(content))
    content[at:at] = dice.randbytes(dice.choice((1, 7, 80, 2880)))


def _number(content: bytearray, dice: random.Random) -> None:
    """Put an absurd number in the place of one, in text or in bytes."""
    value = dice.choice(NUMBERS)
    digits = [i for i, byte in enumerate(content[:20_000]) if 48 <= byte < 58]
    if digits and dice.random() < 0.7:
        start = end = dice.choice(digits)
        while end < len(content) and 48 <= content[end] < 58:
            end += 1
        start = max(0, min(start, end - len(str(value))))
        content[start:end] = str(value).encode()
        return
    size = dice.choice((2, 4, 8))
    start = dice.randrange(max(1, min(2048, len(content)) - size))
    order = dice.choice(("little", "big"))
    content[start : start + size] = (value % 256**size).to_bytes(size, order)


WAYS = (_flip, _flip_early, _cut, _zero, _insert, _number, _number)


def damaged(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """Damage a file in one way or two; now and then with a part of another."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2))):
        if not changed:
            break
        if dice.random() < 0.08:
            at, start = dice.randrange(len(changed)), dice.randrange(len(other))
            changed[at:] = other[start:]
        else:
            dice.choice(WAYS)(changed, dice)
    return bytes(changed)


def records(seed: int) -> bytes:
    """Write what stands beside data and weights, with values of many kinds."""
    dice = random.Random(seed)
    values = [None, True, -1, 1e308, "", [], {}, "10", [[]], dice.random()]
    return json.dumps({str(k): dice.choice(values) for k in range(9)}).encode()
