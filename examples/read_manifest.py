"""Read what a bundle says of itself: what it does, what it needs, how it was trained, what it was measured at."""

import fetch_sim2real as fs


def main() -> None:
    for name in fs.policy_names():
        manifest = fs.load_policy(name).manifest
        image, goal, success = manifest.observation.image, manifest.goal, manifest.success
        print(f"{name}: task {manifest.task}, {image.size} x {image.size} pixels over {image.fov_deg:g} degrees")
        print(f"  goals in '{goal.frame}' from {goal.lower_m} to {goal.upper_m} m, limits '{manifest.limit_profile}'")
        print(f"  trained by: {manifest.training.command}")
        if success is not None:
            print(f"  {success.rate:.1%} of {success.episodes} episodes in {success.world}: {success.command}")


if __name__ == "__main__":
    main()
