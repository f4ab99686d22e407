#!/usr/bin/env bash
# What `just deploy`, `just undeploy` and `just rollout` do: kubectl, and a word on what comes next.
#
#     deploy/deploy.sh deploy|undeploy|rollout OVERLAY
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

job=${1:-} overlay=${2:-dev}
[ -f "overlays/$overlay/kustomization.yaml" ] ||
    fail "there is no overlay '$overlay'; there are: $(cd overlays && echo *)"
command -v kubectl >/dev/null ||
    fail "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/"

rendered=$(kubectl kustomize "overlays/$overlay")
namespace=$(sed -n 's/^  name: //p' "overlays/$overlay/namespace.yaml")
image=$(sed -n 's/^ *image: //p' <<<"$rendered")
# The autoscaler's, where there is one.
minimum=$(sed -n 's/^  minReplicas: //p' <<<"$rendered")

cluster() {
    context=$(kubectl config current-context 2>/dev/null) || fail \
        "kubectl has no cluster to talk to." \
        "next: minikube start, or kind create cluster --config deploy/kind.yaml, or kubectl config use-context NAME"
    kubectl version --request-timeout=10s >/dev/null 2>&1 || fail \
        "the cluster '$context' does not answer; this says why: kubectl version" \
        "next: start it (minikube start), or choose another one: kubectl config use-context NAME"
}

# Waits for the pods; when they do not come, says what holds them up.
wait_for_pods() {
    kubectl -n "$namespace" rollout status deployment/berth --timeout=150s && return
    local pods why
    pods=$(kubectl -n "$namespace" get pods -l app.kubernetes.io/name=berth)
    why=$(kubectl -n "$namespace" get pods -l app.kubernetes.io/name=berth -o \
        jsonpath='{range .items[*].status}{.containerStatuses[*].state.waiting.reason} {.conditions[?(@.status=="False")].reason}{"\n"}{end}')
    printf '\n%s\n\n' "$pods" >&2
    case $why in
        *ImagePull* | *ErrImage* | *InvalidImageName*) fail \
            "The cluster cannot get the image $image." \
            "next: on minikube or kind, just build-image && just load-image minikube (or kind); else look whether" \
            "      its registry has it, and the cluster may read there. deploy/README.md: ImagePullBackOff" ;;
        *CrashLoop* | *RunContainerError*)
            kubectl -n "$namespace" logs -l app.kubernetes.io/name=berth --prefix --tail=20 >&2 || true
            fail "The process ends as soon as it starts; above is what it said last." \
                "next: correct deploy/overlays/$overlay/settings.toml, then just deploy $overlay. deploy/README.md: CrashLoopBackOff" ;;
        *CreateContainer*) fail \
            "The container cannot be made; the events say why." \
            "next: kubectl -n $namespace describe pods -l app.kubernetes.io/name=berth" ;;
        *Unschedulable*) fail \
            "No node has room for the pod." \
            "next: kubectl -n $namespace describe pods -l app.kubernetes.io/name=berth, and look at Events" ;;
        *) fail \
            "The new pods are not ready in time; the old ones, if there are any, serve on." \
            "next: kubectl -n $namespace describe pods -l app.kubernetes.io/name=berth" \
            "      kubectl -n $namespace logs deployment/berth" \
            "      kubectl -n $namespace rollout undo deployment/berth    # back to the last version" ;;
    esac
}

# Whether it comes and goes with the overlay.
has_namespace() { grep -q '^kind: Namespace$' <<<"$rendered"; }

is_deployed() { kubectl -n "$namespace" get deployment/berth >/dev/null 2>&1; }

deployed() {
    is_deployed || fail \
        "nothing is deployed in the namespace $namespace of '$context'." \
        "next: just deploy $overlay"
}

case $job in
    deploy)
        case $image in registry.example.com/*) fail \
            "deploy/overlays/$overlay still has the image of the example, $image." \
            "next: just push-image REGISTRY, then put it under 'images' in deploy/overlays/$overlay/kustomization.yaml," \
            "      or: cd deploy/overlays/$overlay && kustomize edit set image berth=REGISTRY/berth:VERSION" ;;
        esac
        cluster
        echo "$image → namespace $namespace of '$context'"
        is_first=yes
        ! is_deployed || is_first=
        has_namespace || kubectl apply -f "overlays/$overlay/namespace.yaml"
        kubectl apply -k "overlays/$overlay"
        # A Deployment without `replicas` begins with one pod, and the autoscaler looks only 15 s later.
        if [ -n "$is_first" ] && [ -n "$minimum" ]; then
            kubectl -n "$namespace" scale deployment/berth --current-replicas=1 --replicas="$minimum" ||
                echo "the autoscaler was there first" >&2
        fi
        wait_for_pods
        echo
        echo "$overlay is up. next:"
        if grep -q '^ *nodePort: 30080$' <<<"$rendered"; then
            echo "  curl \"http://\$(minikube ip):30080/ready\"       # minikube"
            echo "  curl http://localhost:30080/ready               # kind, made with deploy/kind.yaml"
            echo "  just build-image && just load-image minikube && just rollout    # after a change"
        fi
        echo "  kubectl -n $namespace port-forward service/berth 8080:80    # any cluster: then http://localhost:8080"
        ;;
    undeploy)
        cluster
        deployed
        if has_namespace; then
            echo "This deletes the namespace $namespace of '$context', with all that is in it:"
        else
            echo "This deletes what overlays/$overlay has made in the namespace $namespace of '$context', and no more:"
        fi
        kubectl get -k "overlays/$overlay" --ignore-not-found
        if [ "$overlay" != dev ]; then
            read -r -p "Type the name of the namespace to go on: " answer
            [ "$answer" = "$namespace" ] || fail "nothing was deleted"
        fi
        kubectl delete -k "overlays/$overlay" --ignore-not-found
        echo "$overlay is gone. next: just deploy $overlay brings it back"
        if ! has_namespace; then
            echo "  The namespace is still there, and what others have put into it: kubectl -n $namespace get all"
            echo "  kubectl delete namespace $namespace    # if nobody needs it any more"
        fi
        ;;
    rollout)
        cluster
        deployed
        kubectl -n "$namespace" rollout restart deployment/berth
        wait_for_pods
        echo
        echo "every pod of $overlay was replaced. next:"
        echo "  kubectl -n $namespace get pods -o wide"
        echo "  kubectl -n $namespace rollout undo deployment/berth    # if the new ones are worse"
        ;;
    *) fail "usage: deploy/deploy.sh deploy|undeploy|rollout [OVERLAY]" ;;
esac
