"""Save an episode as a video (needs an encoder: make venv EXTRAS=viz)."""

import fetch_sim2real as fs


def main(most_steps: int | None = None, video: str = "out/pick_and_place.mp4") -> None:
    result = fs.run_episode("pick_and_place", world="randomized", seed=1, most_steps=most_steps)
    print("see", result.save_video(video))


if __name__ == "__main__":
    main()
