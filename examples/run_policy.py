"""Run a shipped policy for one episode and draw what happened."""

import fetch_sim2real as fs


def main(most_steps: int | None = None, picture: str = "out/push.png") -> None:
    result = fs.run_episode("push", world="randomized", seed=3, most_steps=most_steps)
    print(f"{'success' if result.success else 'failure'}, {100 * result.distance_m:.1f} cm from the goal")
    print(f"{len(result.frames)} frames; see {result.plot(picture)}")


if __name__ == "__main__":
    main()
