"""Shove the block in mid-episode and watch the policy follow it; one that looks once does not know."""

import fetch_sim2real as fs


def main(most_steps: int | None = None, folder: str = "out") -> None:
    for look in ("every-frame", "once"):
        policy = fs.load_policy("push", look=look)
        result = fs.run_episode(policy, world="randomized", seed=70_007, perturb=["shove"], most_steps=most_steps)
        picture = result.plot(f"{folder}/shove_{look}.png")
        print(f"looks at {look}: {100 * result.distance_m:.1f} cm from the goal, see {picture}")


if __name__ == "__main__":
    main()
