"""Step several environments together and let one policy act in all of them."""

import fetch_sim2real as fs


def main(count: int = 4, steps: int = 240) -> None:
    envs = fs.make_env("push", num_envs=count, observation_mode="rgbd")
    policy = fs.load_policy("push", environments=count)
    observations, _ = envs.reset(seed=100)
    successes = 0
    for _ in range(steps):
        observations, _, _, truncated, infos = envs.step(policy.act(observations))
        over = [row for row in range(count) if truncated[row]]
        successes += sum(bool(infos["is_success"][row]) for row in over)
        policy.reset(over)
    print(f"{successes} episodes of {count} environments succeeded within {steps} steps")
    envs.close()


if __name__ == "__main__":
    main()
