// The Python module voiceclone._host: classes that hold state and no tensor. Optional: voiceclone/host runs without it.
#include "host/pages.h"
#include "host/pcm.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;
using namespace voiceclone::host;

namespace {

// Copies what is not float32 already, as numpy's own functions would.
using Samples = py::array_t<float, py::array::c_style | py::array::forcecast>;

size_t length(const Samples& samples) {
  if (samples.ndim() != 1) throw std::invalid_argument("samples must have one dimension, got " + std::to_string(samples.ndim()));
  return static_cast<size_t>(samples.size());
}

uint64_t unsigned_64(const py::int_& value, const char* name) {
  const auto number = static_cast<uint64_t>(PyLong_AsUnsignedLongLong(value.ptr()));
  if (PyErr_Occurred() == nullptr) return number;
  PyErr_Clear();
  throw std::invalid_argument(std::string(name) + " must be 0 to 2**64 - 1, got " + py::str(value).cast<std::string>());
}

std::optional<uint64_t> seed_of(const std::optional<py::int_>& seed) {
  return seed ? std::optional<uint64_t>(unsigned_64(*seed, "seed")) : std::nullopt;
}

py::array_t<int16_t> array(const std::vector<int16_t>& samples) {
  return py::array_t<int16_t>(static_cast<py::ssize_t>(samples.size()), samples.data());
}

py::array_t<int16_t> convert(const Samples& samples, const std::optional<py::int_>& seed, const py::int_& position) {
  const size_t count = length(samples);
  py::array_t<int16_t> out(static_cast<py::ssize_t>(count));
  to_pcm16(samples.data(), count, seed_of(seed), unsigned_64(position, "position"), out.mutable_data());
  return out;
}

}  // namespace

PYBIND11_MODULE(_host, m) {
  m.doc() = "Host-side state of voiceclone in C++; import voiceclone.host instead.";
  py::register_exception<Exhausted>(m, "Exhausted", PyExc_RuntimeError);

  py::class_<Pages>(m, "Pages")
      .def(py::init<int64_t>(), py::arg("count"))
      .def("__len__", &Pages::count)
      .def_property_readonly("free", &Pages::free)
      .def("references", &Pages::references, py::arg("page"))
      .def("take", &Pages::take, py::arg("count") = 1)
      .def("share", &Pages::share, py::arg("pages"))
      .def("release", &Pages::release, py::arg("pages"));

  py::class_<Sequences>(m, "Sequences")
      .def(py::init<int64_t, int64_t>(), py::arg("pages"), py::arg("page_size"))
      .def("__len__", &Sequences::open_count)
      .def_property_readonly("page_size", &Sequences::page_size)
      .def_property_readonly("free", &Sequences::free)
      .def("references", &Sequences::references, py::arg("page"))
      .def("open", &Sequences::open)
      .def("fork", &Sequences::fork, py::arg("sequence"), py::arg("length"))
      .def("length", &Sequences::length, py::arg("sequence"))
      .def("pages", &Sequences::pages, py::arg("sequence"))
      .def("needed", &Sequences::needed, py::arg("sequence"), py::arg("count") = 1)
      .def(
          "extend",
          [](Sequences& self, int64_t sequence, int64_t count) {
            Sequences::Growth growth = self.extend(sequence, count);
            return py::make_tuple(growth.pages, growth.copies);
          },
          py::arg("sequence"), py::arg("count") = 1)
      .def("truncate", &Sequences::truncate, py::arg("sequence"), py::arg("length"))
      .def("close", &Sequences::close, py::arg("sequence"));

  m.def("to_pcm16", &convert, py::arg("samples"), py::arg("seed") = py::none(), py::arg("position") = 0);
  py::class_<PcmChunker>(m, "PcmChunker")
      .def(py::init([](int64_t crossfade, const std::optional<py::int_>& seed) {
             return PcmChunker(crossfade, seed_of(seed));
           }),
           py::kw_only(), py::arg("crossfade") = 0, py::arg("seed") = py::none())
      .def_property_readonly("position", &PcmChunker::position)
      .def("push", [](PcmChunker& self, const Samples& samples) { return array(self.push(samples.data(), length(samples))); },
           py::arg("samples"))
      .def("join", &PcmChunker::join)
      .def("finish", [](PcmChunker& self) { return array(self.finish()); });
}
