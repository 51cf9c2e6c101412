# Sourced by run and nightly: from the repository's root, a fresh virtual environment with everything, active.
# Nothing outside it is changed but missing Debian packages, and those only as root.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# On a machine without these, tests would be skipped; here that is a failure.
need_programs() {
    local -A packages=([curl]=curl [espeak-ng]=espeak-ng [flite]=flite [chromium]=chromium [chromedriver]=chromium-driver)
    packages+=([ffmpeg]=ffmpeg) # with which vosk's tool reads files
    packages+=([g++]=g++ [make]=make) # kenlm's build
    local program missing=()
    for program in "${!packages[@]}"; do
        command -v "$program" >/dev/null || missing+=("${packages[$program]}")
    done
    [[ -n "$(command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb')" ]] || missing+=(postgresql)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [[ -f "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]] || missing+=(python3-dev)
    ((${#missing[@]})) || return 0
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "Missing ${missing[*]}: install them, or run as root on Debian." >&2
        return 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# torch first and pinned: `==2.13.0` is met by a CPU build (2.13.0+cpu) where the environment offers one, and a later
# unpinned torch would bring gigabytes of CUDA.
own_environment() {
    environment="$(mktemp -d)"
    trap 'rm -rf "$environment"' EXIT
    python3 -m venv "$environment"
    # shellcheck disable=SC1091
    . "$environment/bin/activate"
    pip install --quiet torch==2.13.0
    pip install --quiet -e '.[cpu,kenlm,reference,av,postgres,s3,train,test]'
}

need_programs
own_environment
