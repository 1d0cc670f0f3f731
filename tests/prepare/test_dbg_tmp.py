from tests.prepare.test_equals_attach import *
import tests.prepare.test_equals_attach as T
def show(a,b):
    for u,v in zip(certificate_of(a)["layers"],certificate_of(b)["layers"]):
        d={k:(u[k],v[k]) for k in u if u[k]!=v[k]}
        if d: print(a.name,b.name,u["name"],d); break
    x,y=(read_json(z/"adapter_config.json") for z in (a,b))
    print({k:(x[k],y[k]) for k in x if sorted_lists(x[k])!=sorted_lists(y[k])})
def test_a(checkpoint,tmp_path,monkeypatch):
    T.require_same=show
    test_warm_is_cold(checkpoint,tmp_path,monkeypatch)
def test_b(checkpoint,tmp_path):
    T.require_same=show
    T.test_every_architecture_and_type("mixtral","float32","single",checkpoint,tmp_path)
